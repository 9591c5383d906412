"""What is said on stderr."""

import io
import json
import logging

import pytest

from tapwatch.telemetry import log

LOGGER = logging.getLogger("tapwatch.test")


@pytest.fixture(autouse=True)
def _quiet_afterwards():
    yield
    logging.getLogger("tapwatch").handlers.clear()


def test_machines_get_json_lines():
    """Elsewhere than on a terminal: one object a line, `extra` as keys, nothing unescaped."""
    stream = io.StringIO()
    log.setup("info", stream=stream)

    LOGGER.warning("sink %s\n\x1b[2J\x7f", "down", extra={"sink": "file", "level": "no"})
    LOGGER.debug("not said")

    [line] = stream.getvalue().splitlines()
    assert line.isprintable()
    told = json.loads(line)
    assert told["message"] == "sink down\n\x1b[2J\x7f"
    assert (told["level"], told["logger"], told["sink"]) == ("warning", "tapwatch.test", "file")
    assert told["timestamp"].endswith("+00:00")


def test_people_get_one_line_of_text():
    """No line break and no terminal escape out of a message."""
    stream = io.StringIO()
    log.setup("debug", as_json=False, stream=stream)

    LOGGER.info("reading %s", "a\nb\x1b[2J", extra={"files": 3})
    LOGGER.error("no")

    assert stream.getvalue() == ("tapwatch: reading a\\nb\\x1b[2J (files=3)\ntapwatch: error: no\n")


def test_an_exception_comes_with_its_traceback():
    """In both forms."""
    for as_json in (True, False):
        stream = io.StringIO()
        log.setup("info", as_json=as_json, stream=stream)

        try:
            raise ValueError("broken")
        except ValueError:
            LOGGER.exception("failed")

        assert "ValueError: broken" in stream.getvalue()
        assert len(stream.getvalue().splitlines()) == 1 or not as_json


def test_a_second_setup_replaces_the_first():
    """A reload does not say everything twice."""
    first, second = io.StringIO(), io.StringIO()
    log.setup("info", stream=first)
    log.setup("error", stream=second)

    LOGGER.error("once")

    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
