"""What a client must get for what an upstream said: worked out from the outside, from the contract alone."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from tests.gateway.exchanges import Exchange

Kind = Literal["whole", "stream", "failed", "failed-midway", "cut", "error"]
_PRICING = re.compile(rb'"pricing"\s*:\s*(?=\{"total_nanos")')
_NATIVE = re.compile(rb'"nativeResponseId"\s*:\s*')
_PASSED_ON = {
    400: "validation_error",
    404: "not_found",
    409: "conflict",
    413: "payload_too_large",
    422: "unprocessable",
}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """whole, stream   the upstream's own body with the splices
    error           the upstream's own status
    failed          a failure inside a 200 before any content: an error answer
    failed-midway   one after content: forwarded, and recorded as failed
    cut             an error event ends the stream
    """

    kind: Kind
    status: int = 200
    code: str = ""
    message: str | None = None


def expected(exchange: Exchange) -> Expected:
    """What must become of an exchange (architecture 14.3 and 14.4)."""
    if exchange.status >= 400:
        return _error(exchange.status, exchange.whole, "error")
    return _stream(exchange) if exchange.stream else _whole(exchange)


def kept_body(exchange: Exchange) -> bytes:
    """The upstream's body without the usage event that the client did not ask for (architecture 14.2)."""
    if not exchange.stream or exchange.asked_for_usage:
        return exchange.body
    blank = b"\r\n\r\n" if b"\r\n\r\n" in exchange.body else b"\n\n"
    blocks = exchange.body.split(blank)
    return blank.join(block for block in blocks if not _usage_only(block))


def differences(client: bytes, upstream: bytes, generation_id: str, *, stream: bool) -> Iterator[str]:
    """What, but for the three splices, differs between the client's body and the upstream's."""
    native: str | None = None
    ours, theirs = (client.split(b"\n"), upstream.split(b"\n")) if stream else ([client], [upstream])
    if len(ours) != len(theirs):
        yield f"{len(ours)} lines for {len(theirs)}: {client[-200:]!r} for {upstream[-200:]!r}"
        return
    for mine, other in zip(ours, theirs, strict=True):
        value = _object(other, stream=stream)
        if value is None or "error" in value:
            if mine != other:
                yield f"{mine[:300]!r} for {other[:300]!r}"
            continue
        native = native or (value["id"] if isinstance(value.get("id"), str) and value["id"] else None)
        yield from _splices(mine, other, value, generation_id, native)


def _splices(mine: bytes, other: bytes, value: Any, generation_id: str, native: str | None) -> Iterator[str]:
    """The three splices of one JSON object, each where it belongs, and nothing else."""
    found = _object(mine, stream=mine.startswith(b"data:"))
    if found is None:
        yield f"not a JSON object: {mine[:300]!r}"
        return
    if found.get("id") != generation_id:
        yield f"id {found.get('id')!r} is not {generation_id}"
    if found.get("nativeResponseId") != native:
        yield f"nativeResponseId {found.get('nativeResponseId')!r} is not {native!r}"
    priced = isinstance(value.get("usage"), dict)
    if len(_PRICING.findall(mine)) != priced or (priced and "pricing" not in found["usage"]):
        yield f"pricing belongs on the usage object and nowhere else: {mine[:300]!r}"
    bare = mine
    for name in (_PRICING, _NATIVE):
        bare = _without(bare, name)
    bare = _with_id(bare, other, value, generation_id)
    if bare != other:
        at = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(bare, other, strict=False)))
        around = slice(max(0, at - 40), at + 80)
        yield f"beside the splices, at byte {at}: {bare[around]!r} for {other[around]!r}"


def _with_id(mine: bytes, other: bytes, value: Any, generation_id: str) -> bytes:
    """Our bytes with the upstream's own id back in its place, or without one."""
    if "id" not in value:
        return _without(mine, re.compile(rb'"id"\s*:\s*(?="%s")' % generation_id.encode()))
    at = mine.find(b'"%s"' % generation_id.encode())
    if at < 0 or mine[:at] != other[:at]:
        return mine
    length = json.JSONDecoder().raw_decode(other[at:].decode("utf-8", "surrogateescape"))[1]
    raw = other[at:].decode("utf-8", "surrogateescape")[:length].encode("utf-8", "surrogateescape")
    return mine[:at] + raw + mine[at + len(generation_id) + 2 :]


def _without(text: bytes, name: re.Pattern[bytes]) -> bytes:
    """The text without the first member of this name, and without one comma beside it."""
    found = name.search(text)
    if found is None:
        return text
    rest = text[found.end() :].decode("utf-8", "surrogateescape")
    length = json.JSONDecoder().raw_decode(rest)[1]
    start, end = found.start(), found.end() + len(rest[:length].encode("utf-8", "surrogateescape"))
    if text[start - 1 : start] == b",":
        start -= 1
    elif text[end : end + 1] == b",":
        end += 1
    return text[:start] + text[end:]


def _object(line: bytes, *, stream: bool) -> dict[str, Any] | None:
    if stream:
        if not line.startswith(b"data:"):
            return None
        line = line[5:].strip()
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _usage_only(block: bytes) -> bool:
    values = [_object(line.strip(), stream=True) for line in block.split(b"\n") if line.startswith(b"data:")]
    return any(
        value and value.get("choices") == [] and isinstance(value.get("usage"), dict) for value in values
    )


def _whole(exchange: Exchange) -> Expected:
    body = exchange.whole
    if not isinstance(body, dict):
        return Expected(kind="failed", status=502, code="upstream_error")
    choices = body.get("choices") or []
    failure = body.get("error") or next((one["error"] for one in choices if one.get("error")), None)
    if failure:
        return _inside(failure)
    return Expected(kind="whole")


def _stream(exchange: Exchange) -> Expected:
    begun = finished = False
    for event in exchange.events:
        if event == "[DONE]":
            finished = True
            continue
        if event.get("error"):
            return Expected(kind="failed-midway") if begun else _inside(event["error"])
        begun = True
        finished = finished or any(one.get("finish_reason") is not None for one in event.get("choices") or [])
    if finished:
        return Expected(kind="stream")
    return Expected(kind="cut") if begun else Expected(kind="failed", status=502, code="upstream_error")


def _inside(failure: Any) -> Expected:
    """A failure inside a 200 has the class of the status that it names; of 502, where it names none."""
    code = failure.get("code") if isinstance(failure, dict) else None
    if not isinstance(code, int) or not 400 <= code < 600:
        code = failure.get("status_code", 502) if isinstance(failure, dict) else 502
    return _error(code, {"error": failure}, "failed")


def _error(status: int, body: Any, kind: Kind) -> Expected:
    if status in (401, 403):
        return Expected(kind=kind, status=502, code="upstream_error")
    message = _message(body)
    if status == 429:
        return Expected(kind=kind, status=429, code="rate_limited", message=message)
    if status in _PASSED_ON:
        return Expected(kind=kind, status=status, code=_PASSED_ON[status], message=message)
    late = status in (408, 504)
    return Expected(
        kind=kind,
        status=504 if late else 502,
        code="upstream_timeout" if late else "upstream_error",
        message=message,
    )


def _message(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    inner = body.get("error", body)
    if isinstance(inner, str):
        return inner
    found = inner.get("message") or inner.get("detail")
    return found if isinstance(found, str) else None


def says(actual: str, wanted: str) -> bool:
    """Whether a message is the upstream's, but for what was redacted from it and for its bound."""
    pieces = [re.escape(piece) for piece in actual.split("[redacted]")]
    return re.fullmatch(r"\S*(?: \S+)?".join(pieces), wanted[:2_000]) is not None
