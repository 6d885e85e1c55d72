"""The simulator's faults, by model name: `sim/429`, `sim/cut-at-7`, `sim/stall` ..."""

import re
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "none", "slow", "status", "cut", "error", "stall", "malformed", "200-with-error", "no-usage", "no-done",
    "empty", "refused",
]  # fmt: skip
_AT: Final = re.compile(r"(cut|error|stall)-at-(\d{1,6})")
_STATUS: Final = re.compile(r"[45]\d\d")
_NAMED: Final[dict[str, Kind]] = {
    "slow": "slow",
    "malformed-event": "malformed",
    "200-with-error": "200-with-error",
    "no-usage": "no-usage",
    "no-done": "no-done",
    "empty": "empty",
    "refused": "refused",
}
_MESSAGES: Final = {
    400: "The simulator refuses this request, as you asked.",
    401: "Incorrect API key provided.",
    403: "You are not allowed to use this model.",
    404: "The model does not exist.",
    429: "Rate limit reached: try again in a second.",
    503: "The engine is overloaded.",
}


class Fault(NamedTuple):
    """What goes wrong: `number` is the status, or how many content events are sent before it does."""

    kind: Kind = "none"
    number: int = 0


def fault_of(model: str) -> Fault | None:
    """The fault that a model's name asks for; None if the name asks for none."""
    name = model.removeprefix("sim/")
    if name == "stall":
        return Fault("stall", 0)
    if kind := _NAMED.get(name):
        return Fault(kind)
    if found := _AT.fullmatch(name):
        at: Kind = "cut" if found[1] == "cut" else "error" if found[1] == "error" else "stall"
        return Fault(at, int(found[2]))
    return Fault("status", int(name)) if _STATUS.fullmatch(name) else None


def error_body(status: int) -> dict[str, object]:
    """The error object that an upstream sends with this status."""
    kind = (
        "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    )
    message = _MESSAGES.get(status, "The simulator had a problem, as you asked.")
    return {"error": {"message": message, "type": kind, "param": None, "code": f"simulated_{status}"}}
