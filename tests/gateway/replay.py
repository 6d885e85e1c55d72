"""Replay exchanges through a gateway: the upstream answers as it once did; differences are findings."""

import asyncio
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from tests.gateway.exchanges import Exchange
from tests.gateway.expectation import Expected, differences, expected, kept_body, says
from tests.gateway.quantities import counted, disagreements
from tests.gateway.upstream import Script, Upstream, cut
from tests.gateway.wire import Answer, Client

AT_ONCE = 16
GATEWAY_FIELDS = ("meta", "usage", "debug", "provider", "beta", "echo_upstream_request")


@dataclass(kw_only=True)
class Report:
    """What a replay found."""

    run: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    estimated: Counter[str] = field(default_factory=Counter)
    clamped: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[str]] = field(default_factory=dict)
    charged: int = 0

    @override
    def __str__(self) -> str:
        lines = [
            f"run {self.run}, passed {self.run - len(self.failures)}, failed {len(self.failures)}",
            f"  kinds: {dict(self.kinds)}",
            f"  usage clamped: {dict(self.clamped)}; estimated: {dict(self.estimated)}",
        ]
        lines += [f"  {name}: {'; '.join(why)[:1_500]}" for name, why in sorted(self.failures.items())[:60]]
        return "\n".join(lines)


def model_of(provider: str) -> str:
    """The public model id under which a provider's exchanges are replayed."""
    return f"replay/{provider}"


async def replay(exchanges: Sequence[Exchange], upstream: Upstream, client: Client, *, exact: bool) -> Report:
    """Send every exchange's own request, and compare what comes with what must come."""
    report = Report()
    waiting = asyncio.Semaphore(AT_ONCE)

    async def one(exchange: Exchange) -> None:
        async with waiting:
            try:
                found = [text async for text in _findings(exchange, upstream, client, report, exact=exact)]
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                found = [f"no answer: {error!r}"]
        report.run += 1
        if found:
            report.failures[f"{exchange.provider} {exchange.id}"] = found

    await asyncio.gather(*(one(exchange) for exchange in exchanges))
    return report


async def _findings(
    exchange: Exchange, upstream: Upstream, client: Client, report: Report, *, exact: bool
) -> Any:
    wanted = expected(exchange)
    report.kinds[wanted.kind] += 1
    name = upstream.play(f"{exchange.id}-{'exact' if exact else 'spliced'}", _script(exchange))
    # `provider` instructs the router that gets it; these named providers of another's.
    request = {key: value for key, value in exchange.request.items() if key != "provider"}
    request |= {"model": model_of(exchange.provider), "x_script": name}
    headers = {"x_gateway_passthrough": "exact"} if exact else {}
    answer = await client.chat(json.dumps(request, ensure_ascii=False).encode(), **headers)
    for text in _sent(upstream, name, exchange):
        yield text
    for text in _answered(exchange, wanted, answer, exact=exact):
        yield text
    async for text in _recorded(exchange, wanted, answer, client, report):
        yield text


def _script(exchange: Exchange) -> Script:
    """The upstream's answer, cut at places that depend on the exchange alone."""
    kind = "text/event-stream" if exchange.stream else "application/json"
    seed = zlib.crc32(exchange.id.encode())
    return Script(
        status=exchange.status,
        content_type=exchange.headers.get("content-type", kind),
        headers={"retry-after": exchange.headers["retry-after"]} if "retry-after" in exchange.headers else {},
        pieces=cut(exchange.body, seed, most=400 if exchange.stream else 4_000),
        framing="chunked" if exchange.stream else "length",
    )


def _sent(upstream: Upstream, name: str, exchange: Exchange) -> Iterator[str]:
    """The upstream must have been sent the client's request, but for the model and our own fields."""
    calls = upstream.calls(name)
    if len(calls) != 1:
        yield f"{len(calls)} upstream calls"
        return
    wanted = {key: value for key, value in exchange.request.items() if key not in GATEWAY_FIELDS}
    wanted |= {"model": f"upstream-{exchange.provider}", "x_script": name}
    if exchange.stream:
        wanted["stream_options"] = {**(wanted.get("stream_options") or {}), "include_usage": True}
    if calls[0].json != wanted:
        sent = calls[0].json
        names = [key for key in {*sent, *wanted} if sent.get(key, ...) != wanted.get(key, ...)]
        yield f"the upstream was sent other {names}"


def _answered(exchange: Exchange, wanted: Expected, answer: Answer, *, exact: bool) -> Iterator[str]:
    """The client's side."""
    if answer.status != wanted.status:
        yield f"status {answer.status} for {wanted.status}: {answer.body[:300]!r}"
        return
    if wanted.kind in ("error", "failed"):
        yield from _error(exchange, wanted, answer)
        return
    if not answer.complete and not (exact and wanted.kind == "cut"):
        yield "the body did not come to its end"
    body = kept_body(exchange)
    if exact:
        if hashlib.sha256(answer.body).digest() != hashlib.sha256(body).digest():
            yield f"exact mode: {len(answer.body)} bytes for {len(body)}: ...{answer.body[-200:]!r}"
        return
    ours = answer.body
    if wanted.kind == "failed-midway":
        ours, said, _ = ours.partition(b'"error"')
        body = body.partition(b'"error"')[0]
        if not said:
            yield "the failure was not forwarded"
    elif exchange.stream and b"[DONE]" not in body:
        if not ours.endswith(b"data: [DONE]\n\n"):
            yield f"no [DONE] at the end: {ours[-100:]!r}"
        ours = ours.removesuffix(b"data: [DONE]\n\n")
    yield from differences(ours, body, answer.generation_id, stream=exchange.stream)


def _error(exchange: Exchange, wanted: Expected, answer: Answer) -> Iterator[str]:
    """Architecture 14.4: the SDK's error object with the contract's flat fields beside it."""
    body = answer.json
    error = body.get("error")
    if not isinstance(error, dict) or not {"message", "type", "param", "code"} <= set(error):
        yield f"not the error object of OpenAI's SDKs: {answer.body[:300]!r}"
        return
    if error["code"] != wanted.code:
        yield f"code {error['code']} for {wanted.code}"
    if wanted.message is not None and not says(error["message"], wanted.message):
        yield f"message {error['message'][:200]!r} for {wanted.message[:200]!r}"
    flat = {"generation_id": answer.generation_id, "status_code": wanted.status}
    if {name: body.get(name) for name in flat} != flat or not body.get("description"):
        yield f"flat fields: {answer.body[:300]!r}"
    if body.get("error_type") not in ("user", "system"):
        yield f"error_type {body.get('error_type')!r}"
    if answer.headers.get("retry-after") != (
        exchange.headers.get("retry-after") if wanted.status == 429 else answer.headers.get("retry-after")
    ):
        yield f"retry-after {answer.headers.get('retry-after')!r}"


async def _recorded(
    exchange: Exchange, wanted: Expected, answer: Answer, client: Client, report: Report
) -> Any:
    """The generation's record: success, cost, and usage in disjoint meters."""
    record = await client.generation(answer.generation_id)
    success = wanted.kind in ("whole", "stream")
    if record.get("success") is not success or record.get("provider") != exchange.provider:
        yield f"record: success {record.get('success')}, provider {record.get('provider')}, {record}"
        return
    cost, lines = record["cost_nanos"], record["pricing_lines"] or []
    report.charged += cost
    if sum(line["line_nanos"] for line in lines) != cost:
        yield f"the lines do not add up to {cost}: {lines}"
    if not success:
        if cost or record["error_code"] is None:
            yield f"a failure that cost {cost}, {record['error_code']}"
        return
    if (said := counted(exchange)) is None:
        report.estimated[exchange.provider] += 1
        if not record["estimated"]:
            yield "no usage from the provider, and not marked as an estimate"
        return
    if record["estimated"]:
        yield "marked as an estimate although the provider counted"
    report.clamped[exchange.provider] += said.contradictory
    for text in disagreements(record["usage"], said):
        yield text
