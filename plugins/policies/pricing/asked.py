"""What the pricing routes are sent, checked before anything is priced."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from plugin_sdk.errors import InvalidJson, InvalidRequest, ModelRequired
from plugin_sdk.modality import Operation
from plugin_sdk.money import Quantity, Usage
from plugin_sdk.price_rules import STANDARD, plan_of

LIMIT: Final = 50
MOST: Final = 250
FURTHEST: Final = 100_000
_KEYS: Final = ("provider", "model", "endpoint", "usage", "plan", "parameters", "at")
_LONGEST: Final = 200  # characters of a name
_METERS: Final = 100  # of one usage
_LARGEST: Final = 10**18
_QUANTITY: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,12})?")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A usage to be priced; `at` in ms since 1970, None is now."""

    model: str
    endpoint: str
    usage: Usage
    provider: str | None = None
    plan: str = STANDARD
    parameters: Mapping[str, Any] = {}
    at: int | None = None


def read(body: bytes) -> Asked:
    """The body of a calculation."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidJson("The body is not JSON.") from error
    if not isinstance(found, dict):
        raise InvalidJson("The body is not a JSON object.")
    for name in found:
        if name not in _KEYS:
            shown = name[:_LONGEST]
            raise _invalid(shown, f"`{shown}` is not known here; there is {', '.join(_KEYS)}")
    model = _text(found, "model")
    if model is None:
        raise ModelRequired("Say which `model`.", param="model")
    endpoint = _text(found, "endpoint")
    if endpoint is None:
        raise _invalid("endpoint", "`endpoint` is missing: a route as `chat/completions`")
    parameters = found.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise _invalid("parameters", "`parameters` is an object: what the request would say")
    return Asked(
        model=model,
        endpoint=endpoint,
        usage=_usage(found.get("usage")),
        provider=_text(found, "provider"),
        plan=plan_of(_text(found, "plan")),
        parameters=parameters,
        at=_moment(found.get("at")),
    )


def check_meters(usage: Usage, operation: Operation) -> None:
    """Refuse a meter that the operation does not have."""
    for meter in usage:
        if meter not in operation.meters:
            shown, has = meter[:_LONGEST], ", ".join(sorted(operation.meters)) or "none"
            raise _invalid(f"usage.{shown}", f"`{shown}` is no meter of {operation.name}; there is {has}")


def page(query: Mapping[str, list[str]]) -> tuple[int, int]:
    """(limit, offset), each in its bounds."""
    return _number(query, "limit", LIMIT, 1, MOST), _number(query, "offset", 0, 0, FURTHEST)


def word(query: Mapping[str, list[str]], name: str) -> str | None:
    """A query parameter, None where it is not there or empty."""
    said = (query.get(name) or [""])[-1]
    return said[:_LONGEST] or None


def _usage(said: Any) -> Usage:
    if not isinstance(said, dict):
        raise _invalid("usage", '`usage` gives quantities by meter, as {"input_text_tokens": 1000}')
    if len(said) > _METERS:
        raise _invalid("usage", f"`usage` has more than {_METERS} meters")
    return {meter: _quantity(meter[:_LONGEST], quantity) for meter, quantity in said.items()}


def _quantity(meter: str, said: Any) -> Quantity:
    """A whole number, or a decimal as text: a JSON number with a point has lost digits already."""
    whole = isinstance(said, int) and not isinstance(said, bool)
    if (whole and said < 0) or (isinstance(said, str) and said.startswith("-")):
        raise _invalid(f"usage.{meter}", f"`{meter}` cannot be negative")
    if whole and said <= _LARGEST:
        return int(said)
    if isinstance(said, str) and _QUANTITY.fullmatch(said):
        return Decimal(said) if "." in said else int(said)
    what = f'`{meter}` is a whole number up to {_LARGEST}, or a decimal in quotes, as "12.5"'
    raise _invalid(f"usage.{meter}", what)


def _text(found: Mapping[str, Any], name: str) -> str | None:
    said = found.get(name)
    if said is None:
        return None
    if not isinstance(said, str) or not said or len(said) > _LONGEST:
        raise _invalid(name, f"`{name}` is a text of 1 to {_LONGEST} characters")
    return said


def _moment(said: Any) -> int | None:
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid("at", "`at` is a time as 2027-01-01T00:00:00Z") from error


def _number(query: Mapping[str, list[str]], name: str, default: int, least: int, most: int) -> int:
    said = (query.get(name) or [str(default)])[-1]
    if not said.isascii() or not said.isdecimal() or len(said) > 9 or not least <= int(said) <= most:
        raise _invalid(name, f"`{name}` is a whole number from {least} to {most}")
    return int(said)


def _invalid(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message[0].upper() + message[1:] + ".", param=name)
