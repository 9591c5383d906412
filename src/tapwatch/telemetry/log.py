"""What is said on stderr: text for people, JSON lines for machines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

#: What a LogRecord has of its own; everything else came in by `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_HANDLER_NAME: Final = "tapwatch"


def setup(level: str, *, as_json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send the logger `tapwatch` to stderr; a second call replaces the first.

    Parameters
    ----------
    level : str
        debug, info, warning or error.
    as_json : bool or None
        None: text on a terminal, JSON lines elsewhere.
    stream : text file or None
        None: stderr.
    """
    stream = stream or sys.stderr
    if as_json is None:
        as_json = not stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.set_name(_HANDLER_NAME)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logger = logging.getLogger("tapwatch")
    for old in [h for h in logger.handlers if h.get_name() == _HANDLER_NAME]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, ASCII only; `extra` becomes keys of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line without its newline."""
        moment = datetime.fromtimestamp(record.created, UTC)
        document = {
            "timestamp": moment.isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        document |= {key: value for key, value in _extra(record).items() if key not in document}
        return json.dumps(document, default=str)


class TextFormatter(logging.Formatter):
    """`tapwatch: warning: message (key=value)`; what a terminal might obey is written out."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; only a traceback has more than one line."""
        grade = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        pairs = ", ".join(f"{key}={value}" for key, value in _extra(record).items())
        text = f"tapwatch: {grade}{record.getMessage()}" + (f" ({pairs})" if pairs else "")
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text
