"""One request from its first byte to its settlement: the phases it may pass and what is known of it."""

import time
from enum import IntEnum
from typing import Any, Final

import msgspec

from gateway_core.host.snapshot import Snapshot
from gateway_core.ledger.records import AttemptRecord
from gateway_core.pipeline.client import Client
from gateway_core.pipeline.pricing import by_card, capped, priced, pricing_lines
from gateway_core.pipeline.runtime import Runtime
from gateway_core.upstream import UpstreamResponse
from gateway_core.upstream.headers import Headers
from plugin_sdk.context import Attempt, Endpoint, Principal, RequestContext
from plugin_sdk.errors import GatewayError
from plugin_sdk.fidelity import Report
from plugin_sdk.modality import Route
from plugin_sdk.money import Charge, Hold, Nanos, Usage, is_usage
from plugin_sdk.price_rules import PLAIN, STANDARD, Terms, plan_of
from plugin_sdk.protocol import Answer, Facts, Protocol, RequestView, ResponseStream, Translation

_NOTHING: Final = Nanos(0)


class Phase(IntEnum):
    """Where a request is. Every end leads to SETTLED."""

    RECEIVED = 0
    AUTHENTICATED = 1
    PARSED = 2
    ADMITTED = 3
    ROUTED = 4
    ATTEMPTING = 5
    RELAYING = 6
    COMPLETED = 7
    CUT = 8  # the upstream ended or failed after its answer had begun
    CANCELLED = 9  # the client left, and the upstream was not read to its end
    REFUSED = 10  # no upstream was called
    FAILED = 11  # every upstream called failed before its answer began
    SETTLED = 12


# As names of their own: an attribute of an enum is looked up anew each time.
(
    RECEIVED, AUTHENTICATED, PARSED, ADMITTED, ROUTED, ATTEMPTING, RELAYING,
    COMPLETED, CUT, CANCELLED, REFUSED, FAILED, SETTLED,
) = Phase  # fmt: skip
ENDS = frozenset({Phase.COMPLETED, Phase.CUT, Phase.CANCELLED, Phase.REFUSED, Phase.FAILED})
NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.RECEIVED: frozenset({Phase.AUTHENTICATED, Phase.REFUSED}),
    Phase.AUTHENTICATED: frozenset({Phase.PARSED, Phase.REFUSED}),
    Phase.PARSED: frozenset({Phase.ADMITTED, Phase.REFUSED}),
    Phase.ADMITTED: frozenset({Phase.ROUTED, Phase.REFUSED}),
    Phase.ROUTED: frozenset({Phase.ATTEMPTING, Phase.REFUSED}),
    Phase.ATTEMPTING: frozenset({Phase.ATTEMPTING, Phase.RELAYING, Phase.FAILED, Phase.CANCELLED}),
    Phase.RELAYING: frozenset({Phase.COMPLETED, Phase.CUT, Phase.CANCELLED}),
    **dict.fromkeys(ENDS, frozenset({Phase.SETTLED})),
    Phase.SETTLED: frozenset(),
}


class Exchange:
    """The core's own, mutable account of one request; hooks see the frozen RequestContext only."""

    __slots__ = (
        "_carded",
        "_lined",
        "answer",
        "attempt",
        "attempts",
        "began",
        "cap",
        "cap_refusal",
        "charge",
        "client",
        "continues",
        "ctx",
        "dispatched",
        "endpoints",
        "error",
        "finished_at",
        "first_event",
        "generation_id",
        "headers",
        "hold",
        "phase",
        "principal",
        "protocol",
        "received_at",
        "report",
        "response",
        "route",
        "runtime",
        "shown",
        "snapshot",
        "status",
        "stopped",
        "stream",
        "translation",
        "unbilled",
        "usage",
        "view",
        "watched",
        "worst_case",
    )  # fmt: skip

    def __init__(self, runtime: Runtime, route: Route, client: Client, headers: Headers) -> None:
        self.runtime = runtime
        self.snapshot: Snapshot = runtime.enter()
        self.route = route
        protocols = self.snapshot.protocols
        self.protocol: Protocol = protocols[route.protocol]  # type: ignore[assignment]  # no route has another
        self.client = client
        self.headers = headers
        self.received_at = runtime.clock()
        self.generation_id = runtime.ids.generation(self.received_at)
        self.began = time.perf_counter()
        self.phase: Phase = RECEIVED
        self.principal: Principal | None = None
        self.view: RequestView | None = None
        self.ctx: RequestContext | None = None
        self.endpoints: tuple[Endpoint, ...] = ()
        self.worst_case = Nanos(0)
        self.hold: Hold | None = None
        self.answer: Answer | None = None
        self.attempts: list[AttemptRecord] = []
        self.attempt: Attempt | None = None
        self.response: UpstreamResponse | None = None
        self.stream: ResponseStream | None = None
        self.translation: Translation | None = None  # the stream, where it is one
        self.dispatched = 0.0  # perf_counter of the running attempt
        self.first_event = 0.0
        self.finished_at: int | None = None
        self.report: Report | None = None  # what the request lost on its way to the upstream
        self.cap: Nanos | None = None  # the most that it may cost, by the client or by a policy
        self.cap_refusal: GatewayError | None = None  # what a policy says where its cap pays for no output
        self.watched = False  # the answer is priced as it comes, and ended at the cap
        self.stopped = False  # ended by us, at that cap
        self.continues: str | None = None  # the upstream's own id of the answer that the request goes on from
        self.usage: Usage | None = None  # what `charge` was made of
        self.charge: Charge | None = None  # so far; once settled, what the team pays (None: nothing)
        self.unbilled: str | None = None  # why a settled answer is not charged
        self._carded: tuple[Usage, Terms, Charge] | None = (
            None  # the last usage, and what its card makes of it
        )
        self._lined: tuple[Charge, list[msgspec.Raw]] | None = None
        self.shown = False  # the client has been shown a price
        self.error: GatewayError | None = None
        self.status = 200

    def to(self, phase: Phase) -> None:
        """Move on; an illegal move is a defect of the core."""
        if phase not in NEXT[self.phase]:
            raise RuntimeError(f"{self.generation_id}: {self.phase.name} cannot become {phase.name}")
        self.phase = phase

    @property
    def facts(self) -> Facts | None:
        """What is known of the running attempt's answer."""
        return None if self.stream is None else self.stream.facts

    @property
    def counted(self) -> Usage | None:
        """What the provider counted so far; None where it gave nothing, or what are no quantities."""
        usage = None if self.stream is None else self.stream.facts.usage
        return usage if is_usage(usage) else None

    def estimate(self) -> Usage:
        """A usage for an answer whose provider counted nothing: what is charged by it is flagged."""
        view, facts = self.view, self.facts
        return {
            "input_text_tokens": view.input_estimate if view is not None else 0,
            "output_text_tokens": facts.output_estimate if facts is not None else 0,
        }

    @property
    def byok(self) -> bool:
        """Whether the running attempt is made with a key of the team's own: it costs us nothing."""
        return self.attempt is not None and self.attempt.endpoint.key is not None

    @property
    def fidelity(self) -> str:
        """The `x-gateway-fidelity` of the request: what was changed on its way to the upstream."""
        report = self.report
        if report is None or not (report.dropped or report.approximated or report.clamped):
            return "exact"
        return str(report)

    @property
    def fidelity_of_all(self) -> str:
        """The same with what the answer lost on its way back."""
        if self.translation is None or not self.translation.report:
            return self.fidelity
        both = Report()
        if self.report is not None:
            both.merge(self.report)
        both.merge(self.translation.report)
        return str(both)

    @property
    def payable(self) -> Nanos | None:
        """The most that this request can be charged, by its hold and by the client's bound, if any."""
        if self.hold is None:
            return self.cap
        return self.hold.amount if self.cap is None else min(self.hold.amount, self.cap)

    @property
    def at_cap(self) -> bool:
        """Whether what has come so far costs as much as the client will pay, by a rough count."""
        facts, view = self.facts, self.view
        if self.cap is None or facts is None or view is None or self.attempt is None:
            return False
        counted = self.counted or {"input_text_tokens": view.input_estimate}
        if not any(meter.startswith("output_") for meter, quantity in counted.items() if quantity):
            counted = {**counted, "output_text_tokens": facts.output_estimate}
        bound = self.attempt.endpoint.bound
        try:
            made = self.by_card(counted) if bound is None else by_card(counted, bound, self.terms())
        except ValueError:  # more than any ledger can hold
            return True
        return made.total >= self.cap

    @property
    def strict(self) -> bool:
        """Whether the client wants an error rather than a loss (architecture 14.5)."""
        return self.headers.raw.get(b"x-gateway-fidelity") == b"strict"

    def client_left(self) -> None:
        """Bound what is still read from the upstream, by its provider's policy (money.md 8)."""
        if self.response is not None and self.attempt is not None:
            config = self.snapshot.providers[self.attempt.endpoint.provider].config
            self.response.extend(config.drain_seconds if config.on_disconnect == "drain" else 0.0)

    async def price(self, usage: Usage) -> Charge:
        """The charge for this usage: the hold covers what credit allows, a last line takes off the rest."""
        if self.charge is not None and usage == self.usage:
            return self.charge
        if self.ctx is None or self.attempt is None:
            raise RuntimeError("nothing is priced before an attempt")
        made = self.by_card(usage)
        if self.snapshot.hooks.price:
            made = await priced(self.snapshot.hooks.price, self.ctx, self.attempt, usage, made)
        wanted = made.total if self.cap is None else min(made.total, self.cap)
        if self.hold is not None and wanted > self.hold.amount:
            self.hold = await self.runtime.ledger.cover(self.hold, wanted)
        payable = _NOTHING if self.hold is None else min(wanted, self.hold.amount)
        if payable < made.total:
            made = capped(made, payable)
        self.usage, self.charge = dict(usage), made  # a copy: a protocol may count on in its own
        return made

    def by_card(self, usage: Usage) -> Charge:
        """What a usage of the running attempt costs us; remembered for the next to ask."""
        if self.attempt is None:
            raise RuntimeError("nothing is priced before an attempt")
        card = self.attempt.endpoint.card
        terms = PLAIN if card.plain else self.terms()
        carded = self._carded
        if carded is None or carded[0] != usage or (carded[1] is not terms and carded[1] != terms):
            carded = self._carded = dict(usage), terms, by_card(usage, card, terms)
        return carded[2]

    def terms(self) -> Terms:
        """On what the price depends; the tier that served it counts, where the answer says which it was."""
        view, facts = self.view, self.facts
        served = None if facts is None else facts.service_tier
        return Terms(
            plan=plan_of(served) if served is not None else STANDARD if view is None else view.plan,
            values={} if view is None else view.parameters,
            at=self.received_at,
        )

    def lines(self, made: Charge) -> list[msgspec.Raw]:
        """The lines of a charge as a client and the record have them."""
        if self._lined is None or self._lined[0] is not made:
            self._lined = made, pricing_lines(made)
        return self._lined[1]

    def suppressed(self) -> str | None:
        """Why a finished answer is not charged: it holds nothing (money.md 10)."""
        facts = self.facts
        if facts is None or facts.output or facts.finish is None:
            return None
        if any(quantity for meter, quantity in (self.counted or {}).items() if meter.startswith("output_")):
            return None
        return "zero_output_tokens"

    def counted_cost(self) -> Nanos:
        """What a failed attempt cost us: only what its provider itself counted."""
        usage = self.counted
        if usage is None:
            return _NOTHING
        try:
            return self.by_card(usage).total
        except ValueError:  # more than any ledger can hold; the attempt's record keeps it as it came
            return _NOTHING

    def attempted(self, error: GatewayError | None, cost: Nanos = _NOTHING) -> None:
        """Book the running attempt: how it ended and what it cost us."""
        if self.attempt is None:
            return
        facts, usage = self.facts, self.counted
        ended = time.perf_counter()
        if usage is None and facts is not None and facts.usage is not None:
            self.runtime.log.error(
                "usage refused",
                generation_id=self.generation_id,
                provider=self.attempt.endpoint.provider,
                protocol=self.attempt.endpoint.protocol,
            )
        self.attempts.append(
            AttemptRecord(
                number=self.attempt.number,
                provider=self.attempt.endpoint.provider,
                upstream_model=self.attempt.endpoint.upstream_model,
                status=getattr(error, "upstream_status", None)
                or (self.response.status if self.response is not None else None),
                error_code=None if error is None else error.reason or error.code,
                started_at=self.received_at + int((self.dispatched - self.began) * 1000),
                latency_ms=int((ended - self.dispatched) * 1000),
                native_id=None if facts is None else facts.native_id,
                cost=_NOTHING if self.byok else cost,
                usage=None if usage is None else dict(usage),
            )
        )

    def drop_attempt(self) -> None:
        """Let go of the running attempt's connection and facts: the next one starts clean."""
        if self.response is not None:
            self.response.release()
        self.response = self.stream = self.translation = self._carded = None

    async def observe(self) -> None:
        """Tell the `record` policies; an exception of theirs is logged, never seen by the client."""
        hooks = self.snapshot.hooks.record
        if not hooks or self.ctx is None:
            return
        for call in hooks:
            try:
                await call(self.ctx, self.attempt, self.usage or {}, self.charge)
            except Exception as error:  # noqa: BLE001  # an observer's failure must not reach the request
                self.runtime.log.error("record failed", generation_id=self.generation_id, error=repr(error))

    def meta(self) -> dict[str, Any]:
        """The `meta` object of an answer (contract, section 4.3)."""
        now = time.perf_counter()
        latency = max(self.first_event - self.dispatched, 0.0)
        generation = now - self.dispatched
        output = sum(
            quantity
            for meter, quantity in (self.counted or {}).items()
            if meter.startswith("output_") and meter.endswith("_tokens")
        )
        found: dict[str, Any] = {
            "generation_ms": round(generation * 1000),
            "latency_ms": round(latency * 1000),
            "fidelity": self.fidelity_of_all,
            "routing": {
                "selected_provider": self.attempt.endpoint.provider if self.attempt else None,
                "attempts": len(self.attempts) + 1,
            },
        }
        if generation > 0 and output:
            found["throughput_tps"] = round(int(output) / generation, 2)
        return found
