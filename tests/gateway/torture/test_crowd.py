"""A crowd and a small wallet: no more is spent than it has, to the nano, whatever the upstreams say."""

import asyncio
from collections import Counter
from typing import Any
from zlib import crc32

import pytest

from tests.gateway import load
from tests.gateway.books import NANOS, books
from tests.gateway.conftest import Start
from tests.gateway.samples import USAGE, answer
from tests.gateway.upstream import Received, Script, Upstream, sse
from tests.gateway.wire import Answer

CROWD = 500
WALLET = 11 * NANOS // 10
LIMIT = 5  # tokens that each asks for


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_500_at_once_spend_no_more_than_a_dollar_and_ten_cents(
    start: Start, upstream: Upstream, database: str
) -> None:
    gateway = start(load.plugins(upstream), database=database, workers=2)
    gateway.cli("teams", "create", "small")
    gateway.cli("wallet", "top-up", "--team", "small", "--usd", "1.10")
    key = gateway.cli("keys", "create", "--team", "small")["key"]
    allowed: dict[str, int] = {}  # tokens, by tag
    said: dict[str, int] = {}
    played: list[Script] = []
    refused = 0

    def choose(request: Received) -> Script:
        """Answers once everyone else was refused; half of them say more than they were asked for."""
        tag, limit = request.json["x_tag"], request.json["max_tokens"]
        allowed[tag] = limit
        said[tag] = limit + crc32(tag.encode()) % 2 * 3
        usage = {**USAGE, "completion_tokens": said[tag], "total_tokens": USAGE["prompt_tokens"] + said[tag]}
        pieces = (sse(answer(id=tag, usage=usage), done=False)[6:-2],)
        played.append(Script(pieces=pieces, framing="length", hold_at=0))
        _open()
        return played[-1]

    def _open() -> None:
        if refused + len(played) == CROWD:
            for script in played:
                script.release()

    name = upstream.play(f"crowd-{database}", choose)

    async def one(number: int) -> Answer:
        nonlocal refused
        tag = f"{database}-{number:03}"
        found = await client.chat({**load.body(name, tag, stream=False), "max_tokens": LIMIT})
        if found.status != 200:
            refused += 1
            _open()
        return found

    async with gateway.client(key) as client:
        answers = await asyncio.gather(*(one(number) for number in range(CROWD)))
        assert (await client.chat(load.body(name, "late", stream=False))).status == 402
    assert set(Counter(one.status for one in answers)) == {200, 402}
    given = [one for one in answers if one.status == 200]
    assert {one.json["nativeResponseId"] for one in given} == said.keys()
    paid = {one.json["nativeResponseId"]: one.json["usage"]["pricing"] for one in given}
    spent = sum(one["total_nanos"] for one in paid.values())
    assert await gateway.balance("small") == WALLET - spent >= 0
    found = await books(gateway.database)
    # They all ran at once: together they were allowed what the wallet pays for, and hardly less.
    assert WALLET - load.cost(LIMIT) < sum(map(load.cost, allowed.values())) <= WALLET
    clamped = [one for one in given if "clamped=max_tokens" in one.headers["x-gateway-fidelity"]]
    assert clamped
    # What was said above that is our loss, and each answer says so in its last line.
    for tag, pricing in paid.items():
        over = load.cost(said[tag]) - pricing["total_nanos"]
        assert over >= 0
        assert _over_hold(pricing) == over
    lost = load.cost(0) * len(said) + sum(said.values()) * 10_000_000 - spent
    accounts = Counter[str]()
    for entry in found.entries:
        accounts[entry["account"]] += entry["amount"]
    assert (accounts["revenue"], accounts["loss"]) == (spent + lost, -lost)
    assert lost > 0
    gateway.cli("ledger", "verify")
    gateway.stop()
    after = await books(gateway.database)
    assert (after.leases, after.holds) == ([], [])


def _over_hold(pricing: Any) -> int:
    """The nanos that a last line takes off."""
    return -sum(line["line_nanos"] for line in pricing["lines"] if line["dimension"] == "over_hold")
