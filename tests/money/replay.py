"""Recorded answers through a whole gateway, and what each must cost by its provider's own figures."""

import asyncio
import json
import re
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.gateway.upstream import Received, Script, Upstream, cut
from tests.money.cards import Price, catalogued, cost, distinct, known
from tests.money.figures import contradicts, counted
from tests.money.recordings import Recording
from tests.pipeline.driver import Answer, Driver, driver

AT_ONCE = 8
PRIMES = distinct()
# The client's protocols: where it asks, and how.
CLIENTS = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "anthropic.messages": "/v1/messages",
}
SPEAKS: dict[str, dict[str, Any]] = {
    "openai.chat": {"plugin": "openai_compatible"},
    "openai.responses": {"plugin": "openai_compatible", "speaks": ["openai.responses"]},
    "anthropic.messages": {"plugin": "anthropic"},
    "google.generate_content": {"plugin": "google"},
    "bedrock.converse": {"plugin": "bedrock"},
    "cohere.chat": {"plugin": "cohere"},
    "ollama.chat": {"plugin": "ollama"},
}
_PLAY = re.compile(rb"play ([\w.:/@#-]+) now")


def asked(recording: Recording, model: str, client: str) -> dict[str, Any]:
    """A small request of a client's protocol, whose words tell the upstream what to play."""
    words = f"play {recording.id} now"
    body: dict[str, Any] = {"model": model, "stream": recording.stream}
    if client == "openai.responses":
        return body | {"input": words}
    body["messages"] = [{"role": "user", "content": words}]
    return body | ({"max_tokens": 512} if client == "anthropic.messages" else {})


def play(found: Mapping[str, Recording]) -> Any:
    """Answers each request with the recording that it names, cut at places that depend on it alone."""

    def answer(request: Received) -> Script:
        name = _PLAY.search(request.body)
        assert name is not None
        one = found[name[1].decode()]
        pieces = cut(one.body, zlib.crc32(one.id.encode()), most=2_000 if one.stream else 60_000)
        return Script(content_type=one.content_type, pieces=pieces)

    return answer


@dataclass(kw_only=True)
class Report:
    """What a replay came to: what did not hold, by recording, and what was seen, by kind."""

    run: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[str]] = field(default_factory=dict)

    @override
    def __str__(self) -> str:
        lines = [
            f"run {self.run}, passed {self.run - len(self.failures)}, failed {len(self.failures)}",
            f"  seen {dict(sorted(self.seen.items()))}",
            f"  exceptions {dict(sorted(self.exceptions.items()))}",
        ]
        return "\n".join(lines + [f"  {name}: {why}" for name, why in list(self.failures.items())[:40]])


@dataclass(frozen=True, kw_only=True)
class Case:
    """A recording to be asked for in a client's protocol, at a model that has a price."""

    recording: Recording
    client: str
    model: str
    price: Price | None  # None: the real catalogue's


def cases(found: Sequence[Recording]) -> tuple[list[Case], dict[str, Any]]:
    """Every recording by its own protocol's client and by another's; and the providers' blocks for both."""
    cards, made = known(), []
    models: dict[tuple[str, str, str, bool], tuple[str, Any]] = {}
    for one in found:
        own = one.protocol if one.protocol in CLIENTS else "openai.chat"
        others = sorted(CLIENTS.keys() - {own})
        other = others[zlib.crc32(one.id.encode()) % len(others)]
        real = catalogued(cards, one.provider, one.model)
        for client, card in ((own, None), (other, real)):
            place = (one.protocol, one.provider, one.model, card is not None)
            model = models.setdefault(place, (f"m/{len(models)}", card or PRIMES))[0]
            made.append(Case(recording=one, client=client, model=model, price=None if card else PRIMES))
    blocks: dict[str, Any] = {}
    for (protocol, *_), (model, card) in models.items():
        entries = blocks.setdefault(protocol, [])
        entries.append({"id": model, "price": card, "max_output": 4_096})
    return made, blocks


def name_of(protocol: str) -> str:
    """What the provider of a protocol is called in the gateway."""
    return "r-" + protocol.replace(".", "-").replace("_", "-")


@asynccontextmanager
async def gateway(folder: Path, upstream: Upstream, blocks: Mapping[str, Any]) -> AsyncIterator[Driver]:
    """A gateway with a provider for each protocol that was recorded."""
    plugins = {}
    for protocol, models in blocks.items():
        name = name_of(protocol)
        base = upstream.base_url(name)
        bare = base if protocol.startswith("openai.") else base.removesuffix("/v1")
        plugins[name] = {**SPEAKS[protocol], "base_url": bare, "api_key": "not-a-key", "models": models}
    async with driver(folder, plugins, usd=100_000) as found:
        yield found


async def replay(run: Sequence[Case], asker: Driver, report: Report) -> None:
    """Ask for each, then hold what the client, the record and the books say against one another."""
    started = asker.rows("SELECT balance FROM wallets")[0]["balance"]
    waiting = asyncio.Semaphore(AT_ONCE)
    answers: dict[str, tuple[Case, Answer]] = {}

    async def one(case: Case) -> None:
        async with waiting:
            body = asked(case.recording, case.model, case.client)
            answer = await asker.ask(body, path=CLIENTS[case.client])
            asker.answers.clear()
            answers[answer.generation_id] = case, answer

    await asyncio.gather(*map(one, run))
    spent = 0
    rows = {row["id"]: dict(row) for row in asker.rows(_RECORDS)}
    assert rows.keys() == answers.keys()
    reader = asker.app.test_client()
    for generation_id, (case, answer) in answers.items():
        told = await reader.get(
            f"/v1/generations?id={generation_id}", headers={"authorization": f"Bearer {asker.key}"}
        )
        row = rows[generation_id]
        spent += row["charge"]
        found = [*_one_price(row, await told.get_json(), answer), *_counted(case, row, report)]
        report.run += 1
        if found:
            report.failures[f"{case.recording.protocol} {case.recording.id} by {case.client}"] = found
    assert started - asker.rows("SELECT balance FROM wallets")[0]["balance"] == spent


_RECORDS = """
SELECT g.*, s.charge, s.price, s.outcome,
  (SELECT COALESCE(SUM(e.amount), 0) FROM ledger_entries e
    WHERE e.transaction_id = g.id AND e.account = 'wallet:' || s.wallet_id) AS moved,
  (SELECT COALESCE(SUM(a.cost_nanos), 0) FROM attempts a WHERE a.generation_id = g.id) AS tried,
  (SELECT COALESCE(SUM(e.amount), 0) FROM ledger_entries e
    WHERE e.transaction_id = g.id AND e.account LIKE 'provider:%') AS booked
FROM generations g JOIN settlements s ON s.generation_id = g.id
"""


def _one_price(row: Mapping[str, Any], told: Mapping[str, Any], answer: Answer) -> Iterator[str]:
    """sum of lines == total == what the wallet lost == what the record says, told and stored."""
    total = row["cost_nanos"]
    amounts = {
        "charge": row["charge"],
        "wallet": -row["moved"],
        "lines": sum(line["line_nanos"] for line in json.loads(row["pricing_lines"])),
        "told": told["cost_nanos"],
        "told lines": sum(line["line_nanos"] for line in told["pricing_lines"] or ()),
    }
    shown = _shown(answer)
    if shown is not None:
        amounts["shown"] = shown["total_nanos"]
        amounts["shown lines"] = sum(line["line_nanos"] for line in shown["lines"])
    if set(amounts.values()) != {total}:
        yield f"cost {total}, {amounts}"
    if row["tried"] != row["booked"]:
        yield f"the attempts cost {row['tried']}, the provider's account got {row['booked']}"


def _shown(answer: Answer) -> Any:
    """The last price that the client saw; None where it saw none."""
    marks = list(re.finditer(rb'"pricing(?:_breakdown)?":(?=\{"total_nanos")', answer.body))
    return json.JSONDecoder().raw_decode(answer.body[marks[-1].end() :].decode())[0] if marks else None


def _counted(case: Case, row: Mapping[str, Any], report: Report) -> Iterator[str]:
    """The meters are the provider's own figures, each once, and cost what each alone costs."""
    said = counted(case.recording)
    if not row["success"]:
        report.seen["failed"] += 1
        if row["charge"]:
            yield f"a failure that cost {row['charge']}"
        return
    if bool(row["estimated"]) is not (said is None):
        yield f"estimated: {row['estimated']}, the provider counted {said}"
    if said is None:
        report.seen["estimated"] += 1
    elif row["suppressed"]:
        report.seen["nothing in it"] += 1
    else:
        report.seen["priced by primes" if case.price else "priced by the catalogue"] += 1
        yield from _metered(case, row, said, report)


def _metered(case: Case, row: Mapping[str, Any], said: Mapping[str, int], report: Report) -> Iterator[str]:
    usage = {meter: count for meter, count in json.loads(row["usage"]).items() if count}
    tokens = {meter: count for meter, count in usage.items() if "_tokens" in meter}
    if contradicts(said):
        report.exceptions[f"{case.recording.protocol} {case.recording.provider}"] += 1
        if min(tokens.values()) < 0 or sum(tokens.values()) > sum(said.values()):
            yield f"{tokens} for the contradiction {said}"
    elif tokens != said:
        yield f"{tokens}, the provider counted {said}"
    if case.price is not None and row["charge"] != (wanted := cost(usage, case.price)):
        yield f"{usage} cost {row['charge']}, each alone {wanted}"
