"""A price that was wrong: past charges by the right one, shown and booked beside a gateway that serves."""

import json
import subprocess
from typing import Any

import pytest
import yaml

from tests.gateway.conftest import PRICE, Start, provider
from tests.gateway.database import environment
from tests.gateway.process import PROGRAM, Gateway
from tests.gateway.samples import ASK, answer
from tests.gateway.upstream import Script, Upstream, sse

SINCE = ("--since", "2020-01-01")
HALF = {name: str(float(usd) / 2) for name, usd in PRICE.items()}
COST = 12 * 2_500 + 5 * 15_000  # of the usage of `answer`


def _price(gateway: Gateway, price: dict[str, str]) -> None:
    content = yaml.safe_load(gateway.config.read_text())
    content["plugins"]["scripted"]["models"][0]["price"] = price
    gateway.config.write_text(yaml.safe_dump(content, sort_keys=False))


def _said(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    found = [*PROGRAM, "--config", str(gateway.config), "ledger", "rerate", *words]
    return subprocess.run(found, env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_the_charges_of_a_wrong_price_are_put_right_once(
    start: Start, upstream: Upstream, database: str
) -> None:
    block = provider(upstream.base_url("scripted"), {"id": "test/chat", "upstream": "chat-1"})
    gateway = start({"scripted": block, "markup": {"rules": [{"percent": "10"}]}}, database=database)
    upstream.play("rerate", Script(pieces=(sse(answer(), done=False)[6:-2],)))
    before = await gateway.balance()
    async with gateway.client() as client:
        for _ in range(3):
            sent = await client.chat({"model": "test/chat", "messages": ASK, "x_script": "rerate"})
            assert sent.json["usage"]["pricing"]["total_nanos"] == COST * 11 // 10
    assert before - await gateway.balance() == 3 * COST * 11 // 10
    proof = gateway.cli("ledger", "rerate", *SINCE, "--card", "stored")
    assert (proof["compared"], proof["differences"]) == (3, [])

    _price(gateway, HALF)
    shown = gateway.cli("ledger", "rerate", *SINCE)
    (line,) = shown["cards"]
    assert (line["generations"], line["nanos"], shown["booked"]) == (3, -3 * COST * 11 // 20, 0)
    assert before - await gateway.balance() == 3 * COST * 11 // 10
    booked = gateway.cli("ledger", "rerate", *SINCE, "--book")
    assert (booked["booked"], booked["differences"]) == (3, shown["differences"])
    assert before - await gateway.balance() == 3 * COST * 11 // 20
    again = gateway.cli("ledger", "rerate", *SINCE, "--book")
    assert (again["compared"], again["differences"], again["booked"]) == (3, [], 0)

    back = gateway.cli("ledger", "rerate", *SINCE, "--model", "test/chat", "--card", line["old"], "--book")
    assert (back["booked"], before - await gateway.balance()) == (3, 3 * COST * 11 // 10)
    assert gateway.cli("ledger", "verify") == {"ok": True, "problems": []}


async def test_what_a_re_rating_says_is_plain(start: Start, upstream: Upstream) -> None:
    block = provider(upstream.base_url("scripted"), {"id": "test/chat", "upstream": "chat-1"})
    gateway = start({"scripted": block})
    upstream.play("rerate-said", Script(pieces=(sse(answer(), done=False)[6:-2],)))
    async with gateway.client() as client:
        await client.chat({"model": "test/chat", "messages": ASK, "x_script": "rerate-said"})
    _price(gateway, HALF)
    said = _said(gateway, *SINCE).stdout
    assert "test/chat at scripted: $0.000105 -> $0.0000525 (-$0.0000525)" in said
    assert said.endswith("(-$0.0000525)\nnothing was booked; --book does it\n")
    assert _said(gateway, "--since", "2020-01-01", "--team", "nobody").stderr.startswith(
        "error: there is no team"
    )
    assert "give --model with --card ID" in _said(gateway, *SINCE, "--card", "pc_1").stderr
    unknown = _said(gateway, *SINCE, "--card", "pc_1", "--model", "test/chat")
    assert (unknown.returncode, unknown.stderr[:40]) == (1, "error: no charge was made by a card 'pc_")
    found: dict[str, Any] = json.loads(_said(gateway, *SINCE, "--until", "2020-01-02", "--json").stdout)
    assert found["compared"] == 0
