"""Structured logs: an event and its fields, on standard error. Never a prompt, a body or a key."""

import json
import logging
import re
import sys
import time
import traceback
from typing import Any, Final, Literal

from typing_extensions import override

ROOT: Final = "gateway"
REDACTED: Final = "[redacted]"
LONGEST: Final = 2_000  # characters of one value
_SENSITIVE: Final = re.compile(
    r"(?i)(?:^|_)"
    r"(?:authorization|cookie|password|pepper|secret|api_?key|key|credentials?|body|prompt|messages)$"
)
# What looks like a key: a mark and a long word, or a prefix and a longer run of letters and digits.
_KEYS: Final = re.compile(
    r"\b(?:[A-Za-z0-9]+_)*(?:sk|pk|rk|tk|mk|key|token)[-_][\w-]{16,}"
    r"|\b[A-Za-z]{2,12}[-_](?=[A-Za-z]*\d)[A-Za-z0-9]{20,}\b"
    r"|(?i:\bbearer\s+)[^\s\"',;]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user:password of a URL
)


_WORD: Final = re.compile(r"[^\s\"=]+")


class Log:
    """A logger of events: `log.info("attempt failed", provider=..., status=...)`."""

    __slots__ = ("_logger",)

    def __init__(self, name: str = ROOT) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        """What helps while developing."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What happens."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What somebody should look at some time."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """What somebody should look at now."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, error: BaseException, **fields: Any) -> None:
        """An error with where it came from."""
        if self._logger.isEnabledFor(logging.ERROR):
            trace = "".join(traceback.format_exception(error)).rstrip()
            self._write(logging.ERROR, event, {**fields, "error": repr(error), "trace": trace})

    def _write(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            safe = {name: _safe(name, value) for name, value in fields.items()}
            self._logger.log(level, "%s", _line(event, safe), extra={"event": event, "fields": safe})


def configure(level: str = "info", form: Literal["text", "json"] = "text") -> None:
    """Send this process's events to standard error, in one form; calling it again changes level and form."""
    logger = logging.getLogger(ROOT)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def redacted(text: str) -> str:
    """A text without what looks like a key, a token or a password."""
    return _KEYS.sub(REDACTED, text)


class _Text(logging.Formatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname.lower():<7} {record.getMessage()}"
        trace = getattr(record, "fields", {}).get("trace")
        if trace is None:
            return line
        # indented, and without control characters: no line of it can pass for another event
        return "\n".join((line, *(f"  {_printable(part)}" for part in trace.splitlines())))


class _Json(logging.Formatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        event = getattr(record, "event", None) or record.getMessage()
        head = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": event,
            "pid": record.process,
        }
        return json.dumps({**getattr(record, "fields", {}), **head}, default=str)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _safe(name: str, value: Any) -> Any:
    """The value of a field, without secrets and of bounded length; a trace keeps its lines."""
    if _SENSITIVE.search(name):
        return REDACTED
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe("", part) for part in value]
    if isinstance(value, dict):
        return {str(key): _safe(str(key), part) for key, part in value.items()}
    text = redacted(str(value))
    return text if name == "trace" or len(text) <= LONGEST else text[:LONGEST] + "..."


def _line(event: str, fields: dict[str, Any]) -> str:
    shown = (f"{name}={_quoted(value)}" for name, value in fields.items() if name != "trace")
    return " ".join((event, *shown))


def _quoted(value: Any) -> str:
    """A value as one word: quoted where it is more, escaped where it could lead a terminal astray."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    if text.isprintable() and _WORD.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
