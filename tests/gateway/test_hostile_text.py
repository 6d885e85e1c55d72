"""Text that a database may not be able to hold: NUL, lone surrogates, endless ids, from either side."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.gateway.books import books
from tests.gateway.conftest import Start, provider
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, answer
from tests.gateway.upstream import Script, Upstream, sse

TEXTS = {
    "NUL": "\\u0000",
    "half of a pair": "\\ud83c",
    "the other half": "\\udf0d",
    "endless": "x" * 300_000,
    "quotes": "'; DROP TABLE settlements; -- \\\"",
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def hostile(
    request: pytest.FixtureRequest, starter: Callable[[ExitStack], Start], upstream: Upstream
) -> Iterator[Gateway]:
    """A gateway on each kind of database."""
    plugins = {"scripted": provider(upstream.base_url("scripted"), {"id": "test/chat"})}
    with ExitStack() as stack:
        yield starter(stack)(plugins, database=request.param)


async def _still_well(gateway: Gateway, upstream: Upstream) -> None:
    """The next request is served and settled, and the books are in order."""
    name = upstream.play("well", Script(pieces=(sse(answer(), done=False)[6:-2],)))
    async with gateway.client() as client:
        got = await client.chat({"model": "test/chat", "messages": ASK, "x_script": name})
        assert got.status == 200, got.body[:300]
        assert (await client.generation(got.generation_id))["success"] is True
    assert list((await books(gateway.database)).problems()) == []


@pytest.mark.parametrize("text", TEXTS)
async def test_a_client_cannot_break_the_ledger_with_the_name_of_a_model(
    hostile: Gateway, upstream: Upstream, text: str
) -> None:
    body = b'{"model": "%s", "messages": [{"role": "user", "content": "x"}]}' % TEXTS[text].encode()
    async with hostile.client() as client:
        got = await client.chat(body)
    assert got.status in (400, 404), got.body[:300]
    await _still_well(hostile, upstream)


@pytest.mark.parametrize("field", ["id", "model", "finish_reason", "service_tier", "system_fingerprint"])
@pytest.mark.parametrize("text", TEXTS)
async def test_an_upstream_cannot_break_the_ledger_with_its_answer(
    hostile: Gateway, upstream: Upstream, field: str, text: str
) -> None:
    said = answer(service_tier="default", system_fingerprint="fp")
    target = said["choices"][0] if field == "finish_reason" else said
    target[field] = "@@"
    raw = sse(said, done=False)[6:-2].replace(b"@@", TEXTS[text].encode())
    name = upstream.play(f"hostile-{field}-{text}", Script(pieces=(raw,), framing="length"))
    async with hostile.client() as client:
        got = await client.chat({"model": "test/chat", "messages": ASK, "x_script": name})
        assert got.status in (200, 502), got.body[:300]
        record = await client.generation(got.generation_id)
    assert record["success"] is (got.status == 200)
    await _still_well(hostile, upstream)


@pytest.mark.parametrize("text", TEXTS)
async def test_an_upstream_cannot_break_the_ledger_with_its_error(
    hostile: Gateway, upstream: Upstream, text: str
) -> None:
    raw = b'{"error": {"message": "no: @@", "code": "@@", "type": "@@"}}'.replace(b"@@", TEXTS[text].encode())
    name = upstream.play(f"hostile-error-{text}", Script(status=400, pieces=(raw,)))
    async with hostile.client() as client:
        got = await client.chat({"model": "test/chat", "messages": ASK, "x_script": name})
        assert got.status == 400, got.body[:300]
        assert len(got.body) < 10_000
        record = await client.generation(got.generation_id)
    assert record["success"] is False
    await _still_well(hostile, upstream)


async def test_an_upstream_cannot_break_the_ledger_with_figures(hostile: Gateway, upstream: Upstream) -> None:
    figures = ("-5", "1e30", "99999999999999999999", "1.5", '"7"', "true", "[]", "9223372036854775807")
    for figure in figures:
        raw = sse(answer(), done=False)[6:-2].replace(b": 12,", b": %s," % figure.encode())
        name = upstream.play(f"figure-{figure}", Script(pieces=(raw,), framing="length"))
        async with hostile.client() as client:
            got = await client.chat({"model": "test/chat", "messages": ASK, "x_script": name})
            assert got.status in (200, 502), (figure, got.body[:300])
            record = await client.generation(got.generation_id)
        assert record["cost_nanos"] >= 0
        assert all(float(value) >= 0 for value in record["usage"].values()), (figure, record["usage"])
    await _still_well(hostile, upstream)
