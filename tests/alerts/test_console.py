"""The table of alerts that people read."""

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tapwatch.alerts.console import bar, printable, quantity, render
from tapwatch.tables import FeatureShare
from tests.alerts import made


def shown(alerts, width=100, limit=20, encoding="utf-8") -> str:
    """What a terminal of that width would show."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    render(alerts, Console(file=stream, width=width, color_system=None), limit)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_says_who_what_and_how_unusual(width):
    """Entity, ratio, severity, the features with observed and expected, within the width."""
    text = shown([made.alert()], width)

    words = " ".join(text.split())
    for part in ("10.0.0.1 > 10.0.0.2:443", "low", "x1.235", "TCP flow/ae", "2 folded"):
        assert part in words
    for part in ("init_fwd_win_byts", "1024 B 64.24 kB", "62%", "03:04:05"):
        assert part in words
    assert max(map(len, text.splitlines())) <= width


def test_the_most_unusual_comes_first():
    """Sorted by severity, then by ratio; the rest is counted."""
    alerts = [
        made.alert(entity="mild"),
        made.alert(entity="worst", severity=1, error=50.0),
        made.alert(entity="bad", severity=2, error=0.9),
        made.alert(entity="milder", error=0.11),
    ]

    text = shown(alerts, limit=3)

    places = [text.index(name) for name in ("worst", "bad", "mild")]
    assert places == sorted(places)
    assert "milder" not in text
    assert "and 1 more" in text


def test_a_scan_is_one_paragraph():
    """Alerts of one initiator and reason are counted together, ports and hosts too."""
    ports = [
        made.alert(
            entity=f"10.0.0.1 > 10.0.0.2:{port}",
            dst_port=port,
            folded=0,
            timestamp_ns=made.alert().timestamp_ns + port * 10**9,
        )
        for port in range(1, 31)
    ]
    hosts = [made.alert(dst=f"10.0.1.{i}", entity=f"10.0.0.1 > 10.0.1.{i}") for i in range(3)]
    backward = dict(src="10.0.0.2", dst="10.0.0.9")
    answers = [
        made.alert(**backward, src_port=port, entity=f"10.0.0.9 > 10.0.0.2:{port}")
        for port in (443, 444)
    ]

    text = " ".join(shown(ports, 160).split())
    assert "10.0.0.1 > 10.0.0.2, 30 ports TCP flow/ae 03:04:06 to 03:04:35 30 alerts" in text
    text = " ".join(shown([*ports, *hosts], 160).split())
    assert "10.0.0.1 > 4 hosts TCP flow/ae 03:04:05 to 03:04:35 33 alerts, 6 folded" in text
    assert "10.0.0.9 > 10.0.0.2, 2 ports" in shown(answers, 160)
    assert "and 33 more" in shown([made.alert(entity="x", severity=1), *ports, *hosts], limit=1)


def test_no_alert_is_said_in_words():
    """An empty table would leave the reader wondering."""
    assert shown([]) == "no alerts\n"


def test_hostile_names_cannot_talk_to_the_terminal():
    """No escape, no markup, no right-to-left override, no line of its own."""
    hostile = "\x1b[2J[red]a\nb\u202e\x7f\x9b[bold]"
    feature = FeatureShare(hostile, hostile, 1.0, 2.0, 1.0)

    text = shown([made.alert(entity=hostile, proto=hostile, features=(feature,))], 120)

    assert all(c.isprintable() or c == "\n" for c in text)
    assert r"\x1b[2J[red]a\x0ab\u202e\x7f\x9b[bold]" in text.replace("\n", "")


def test_a_terminal_without_unicode_gets_ascii():
    """Bars and lines fall back to what such a terminal can draw."""
    text = shown([made.alert()], encoding="ascii")

    assert "#####" in text
    assert text.isascii()


@given(st.text())
def test_printable_text_is_left_alone(text):
    """What comes out is printable; what was so already is unchanged."""
    out = printable(text)

    assert out.isprintable()
    assert out == text or not text.isprintable()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (443, "1", "443"),
        (0.0, "1", "0"),
        (9_999, "B", "9999 B"),
        (10_000, "B", "10 kB"),
        (1_234_567, "B/s", "1235 kB/s"),
        (12_345_678, "1", "12.35 M"),
        (-25_000, "1", "-25 k"),
        (999, "us", "999 us"),
        (1_000, "us", "1 ms"),
        (120_000_000, "us", "120 s"),
        (math.inf, "1", "inf T"),
        (math.nan, "B", "nan B"),
    ],
)
def test_values_are_short_and_have_units(value, unit, text):
    """Four digits; times in the unit that fits."""
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("share", "cells"),
    [(0, "        "), (0.5, "████    "), (1, "████████"), (2, "████████"), (1 / 64, "▏       ")],
)
def test_bars_show_the_share(share, cells):
    """Eight cells for the whole, in eighths of a cell."""
    assert bar(share) == cells
    assert len(bar(share, ascii_only=True)) == 8


def test_a_class_is_shown_as_its_word():
    """Without thousands or units."""
    from tapwatch.alerts.console import quantity

    assert quantity("domain_u", "1") == "domain_u"
    assert quantity("us", "us") == "us"
