"""What the management API is sent: bodies and pages, checked before anything is done."""

import json
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from plugin_sdk.context import KeyMode
from plugin_sdk.errors import Forbidden, InvalidJson, InvalidRequest
from plugin_sdk.limits import FIELDS
from plugin_sdk.services import KeyChange

LIMIT: Final = 50
MOST: Final = 250
FURTHEST: Final = 5_000
_LONGEST_NAME: Final = 100
_LONGEST_TEXT: Final = 200
_LARGEST: Final = (1 << 63) - 1
_STATUS: Final = ("active", "disabled")
_CHANGES: Final = frozenset({"name", "status", "scopes", "soft_blocked", "expires_at", "team_id", *FIELDS})
_NEW: Final = _CHANGES | {"created_by", "mode"}


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is made of."""

    team_id: str | None
    mode: KeyMode
    values: KeyChange


def read_new(body: bytes, grantable: Set[str]) -> NewKey:
    """The body of a POST; `name` is the one field that must be there. Forbidden for any other scope."""
    found = _object(body, _NEW)
    if "name" not in found:
        raise _invalid("name", "`name` is missing: what people know the key by")
    mode = found.pop("mode", "live")
    if mode not in ("live", "test"):
        raise _invalid("mode", "`mode` is `live` or `test`; a management key is made by the operator")
    return NewKey(team_id=_text(found, "team_id"), mode=mode, values=_values(found, grantable))


def read_change(body: bytes, grantable: Set[str]) -> tuple[KeyChange, str | None]:
    """The body of a PATCH, and the team that it names. Forbidden for any other scope."""
    found = _object(body, _CHANGES)
    team_id = _text(found, "team_id")
    if not found.keys() - {"team_id"}:
        raise _invalid("name", "there is nothing to change: send `name`, `status`, `soft_blocked` or a limit")
    return _values(found, grantable), team_id


def page(query: Mapping[str, list[str]]) -> tuple[int, int]:
    """(limit, offset), each in its bounds."""
    return _number(query, "limit", LIMIT, 1, MOST), _number(query, "offset", 0, 0, FURTHEST)


def _object(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidJson("The body is not JSON.") from error
    if not isinstance(found, dict):
        raise InvalidJson("The body is not a JSON object.")
    for name in found:
        if name not in known:
            raise _invalid(name[:_LONGEST_TEXT], f"`{name[:_LONGEST_TEXT]}` cannot be set here")
    return found


def _values(found: Mapping[str, Any], grantable: Set[str]) -> KeyChange:
    values: dict[str, Any] = {}
    if "name" in found:
        values["name"] = _name(found["name"])
    if "status" in found:
        if found["status"] not in _STATUS:
            raise _invalid("status", "`status` is `active` or `disabled`; DELETE ends a key for good")
        values["status"] = found["status"]
    if "soft_blocked" in found:
        if not isinstance(found["soft_blocked"], bool):
            raise _invalid("soft_blocked", "`soft_blocked` is true or false")
        values["soft_blocked"] = found["soft_blocked"]
    if "scopes" in found:
        values["scopes"] = _scopes(found["scopes"], grantable)
    if "created_by" in found:
        values["created_by"] = _text(found, "created_by")
    if "expires_at" in found:
        values["expires_at"] = _moment(found["expires_at"])
    return KeyChange(**values, limits={name: _limit(name, found[name]) for name in FIELDS if name in found})


def _name(said: Any) -> str:
    if not isinstance(said, str) or not said.strip() or len(said) > _LONGEST_NAME or not said.isprintable():
        raise _invalid("name", f"`name` is 1 to {_LONGEST_NAME} printable characters")
    return said


def _text(found: Mapping[str, Any], name: str) -> str | None:
    said = found.get(name)
    if said is not None and (not isinstance(said, str) or len(said) > _LONGEST_TEXT):
        raise _invalid(name, f"`{name}` is a text of at most {_LONGEST_TEXT} characters")
    return said


def _scopes(said: Any, grantable: Set[str]) -> str:
    """Scopes as they are stored: the JSON text of a list of words."""
    if isinstance(said, str):
        try:
            said = json.loads(said) if said.strip().startswith("[") else said.split()
        except (ValueError, RecursionError):
            said = None
    if not isinstance(said, list) or not all(
        isinstance(one, str) and len(one) <= _LONGEST_TEXT for one in said
    ):
        raise _invalid("scopes", "`scopes` is a list of words")
    for one in said:
        if one not in grantable:
            can = ", ".join(sorted(grantable)) or "none"
            raise Forbidden(
                f"Your key cannot give the scope `{one}`; it can give {can}. The operator allows more in "
                "`keys_api: scopes`.",
                param="scopes",
                reason="scope_not_grantable",
            )
    return json.dumps(said)


def _moment(said: Any) -> int | None:
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said)
    except (TypeError, ValueError) as error:
        raise _invalid("expires_at", "`expires_at` is a time as 2027-01-01T00:00:00Z, or null") from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _limit(name: str, said: Any) -> int:
    if said is None:
        return 0
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= _LARGEST:
        raise _invalid(name, f"`{name}` is a whole number from 0 (no limit) on")
    return said


def _number(query: Mapping[str, list[str]], name: str, default: int, least: int, most: int) -> int:
    said = (query.get(name) or [str(default)])[0]
    if not said.isascii() or not said.isdecimal() or len(said) > 9 or not least <= int(said) <= most:
        raise _invalid(name, f"`{name}` is a whole number from {least} to {most}")
    return int(said)


def _invalid(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message[0].upper() + message[1:] + ".", param=name)
