"""A wire protocol: one codec, forwards for a client, backwards for an upstream. Bytes in, bytes out, no I/O.

Two paths lead through it. When client and upstream speak the same protocol, `index` takes a cheap view of the
request, `patch` splices the client's own bytes into an upstream request, and a `ResponseStream` from
`splice` forwards the upstream's bytes with splices. When they differ, `parse` and `build` go through the
modality's own types, and the answer runs through the upstream protocol's `decoder` into the client
protocol's `encoder`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from typing_extensions import override

from plugin_sdk.errors import GatewayError, UpstreamError
from plugin_sdk.fidelity import Report, Table, answer_features
from plugin_sdk.money import Usage, is_usage
from plugin_sdk.price_rules import STANDARD
from plugin_sdk.text import Finished, UsageDelta

# The gateway's own request fields: taken out before anything goes upstream (architecture 14.5).
GATEWAY_FIELDS: Final = frozenset({"meta", "usage", "debug", "provider", "echo_upstream_request", "beta"})


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP request about to be sent, its header names in lower case.

    Providers edit it with msgspec.structs.replace.
    """

    method: str
    url: str
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""


class RequestView(msgspec.Struct, kw_only=True):
    """What the core needs of a request, read without decoding the rest.

    input_estimate  input tokens, estimated high: bytes / 3 for text, declared figures for media; no tokenizer
    max_output      the client's own limit on output tokens, of one choice; None where it set none
    usage_event     the client asked for usage in the stream (`stream_options`, `usage: true` or `meta: true`)
    meta            the client asked for the `meta` object
    unknown         top-level fields that neither protocol nor gateway knows (refused under strictness only)
    preferences     the `provider` object of the contract, section 6.2
    plan            the price plan that the request asks for (`price_rules.plan_of`)
    parameters      what the conditions of price rules may look up, by dotted path
    continues       the id of an earlier answer that the request goes on from, as the client has it
    sealed          it holds artefacts of another protocol (`plugin_sdk.artefacts`): it cannot go as it is
    native          the protocol's own notes, for `patch` and `parse`
    """

    body: bytes
    model: str
    stream: bool = False
    choices: int = 1
    max_output: int | None = None
    input_estimate: int = 0
    usage_event: bool = False
    meta: bool = False
    unknown: tuple[str, ...] = ()
    preferences: Mapping[str, Any] | None = None
    plan: str = STANDARD
    parameters: Mapping[str, Any] = {}
    continues: str | None = None
    sealed: bool = False
    native: Any = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where an upstream request goes, and what the provider declared about how it likes to be asked.

    output_limit        sent instead of the client's limit (the hold pays for no more); None: leave it alone
    output_limit_field  the field for it, where the client set none of the protocol's
    stream_usage        whether the upstream is asked for usage in streams
    continues           the upstream's own id of the answer that the request goes on from
    params              what the model takes, as its catalogue entry says; empty where it says nothing
    headers             the client's own headers that its protocol `forwards`, to an upstream of the same one
    report              where `build` books what it changes beyond its protocol's table (a value out of range)
    """

    base_url: str
    model: str
    output_limit: int | None = None
    output_limit_field: str = "max_tokens"
    stream_usage: bool = True
    continues: str | None = None
    params: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    report: Report = msgspec.field(default_factory=Report)


class Price(msgspec.Struct, frozen=True):
    """A hole in the answer that the core fills with `,"<key>":{pricing}` for the usage so far.

    `empty` says that the usage object has no member yet, so that no comma is due.
    """

    usage: Usage
    key: str
    empty: bool = False


class Meta(msgspec.Struct, frozen=True):
    """A hole that the core fills with `,"meta":{...}` where the client asked for it, else with nothing."""


class End(msgspec.Struct, frozen=True):
    """From here on the bytes are the end of the answer: they leave only after the settlement is committed."""


Piece = bytes | Price | Meta | End
END: Final = End()
META: Final = Meta()


class Facts:
    """What is known of an upstream's answer so far; a ResponseStream's tap writes it, the core reads it.

    started     the first event that is data and not an error has been seen: from here on no failover
    usage       disjoint meters, merged field by field over the stream; None: the upstream gave none so far.
                Figures that are no quantities (`money.is_usage`) count as none: the answer is estimated
    finish      the normalised finish reason, None while unknown
    complete    the protocol's end was seen; an upstream that closes before it has CUT the answer
    error       a failure inside a 200: the core says it in the last event; its bytes pass in exact mode only
    output      any text, tool call or media came (zero-output answers are not charged)
    output_estimate  output tokens by a rough count of bytes, for an answer whose usage never came
    native_id   the upstream's own id, the first seen
    skipped     malformed events that were passed over
    """

    __slots__ = (
        "complete", "error", "finish", "native_id", "output", "output_estimate", "service_tier", "skipped",
        "started", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.started = False
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.complete = False
        self.error: UpstreamError | None = None
        self.output = False
        self.output_estimate = 0
        self.native_id: str | None = None
        self.service_tier: str | None = None
        self.skipped = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How the client wants its answer.

    exact       `x-gateway-passthrough: exact`: no splices; only the usage event that we caused is dropped
    usage_event the client asked for the stream's usage event itself; if not, it is dropped
    """

    generation_id: str
    stream: bool
    exact: bool = False
    meta: bool = False
    usage_event: bool = False
    model: str = ""


class ResponseStream(ABC):
    """An upstream's answer on its way to the client, whole or streamed: bytes in, pieces and facts out."""

    facts: Facts

    @abstractmethod
    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes of the upstream's body, cut anywhere; give what can leave now."""

    @abstractmethod
    def close(self) -> list[Piece]:
        """The upstream's body has ended: give what is left, and set `facts.complete` or `facts.error`."""


class Decoder(ABC):
    """Upstream bytes to typed deltas, one event at a time."""

    facts: Facts

    @abstractmethod
    def feed(self, data: bytes) -> list[Any]:
        """The deltas that these bytes complete; malformed events are counted and passed over."""

    @abstractmethod
    def close(self) -> list[Any]:
        """What the end of the body completes."""


class Encoder(ABC):
    """Typed deltas to client bytes; cannot emit an illegal sequence."""

    @abstractmethod
    def feed(self, delta: Any) -> list[Piece]:
        """The client events of one delta."""

    @abstractmethod
    def close(self) -> list[Piece]:
        """The events that end the answer, behind an End."""


class UpstreamProtocol(ABC):
    """One wire format that providers speak, and no client here: it is only ever translated to.

    A format that clients speak too is a Protocol.
    """

    id: ClassVar[str]  # a name and a dialect, dotted; equal ids on both sides mean pass-through
    operation: ClassVar[str]  # "text.generate"
    carries: ClassVar[Table | None] = None  # of a text protocol: what it can carry, feature by feature

    @abstractmethod
    def build(self, request: Any, target: Target) -> UpstreamRequest:
        """An upstream request from the typed request."""

    @abstractmethod
    def decoder(self, *, stream: bool) -> Decoder:
        """Read an upstream's answer into typed deltas."""


class Protocol(UpstreamProtocol):
    """One wire format, for both sides.

    Client side: index, parse, encoder, render_error. Upstream side: patch or build, splice or decoder.
    """

    pricing_key: ClassVar[str] = "pricing_breakdown"
    forwards: ClassVar[frozenset[str]] = frozenset()  # a client's headers that an upstream of its kind sees

    @abstractmethod
    def index(self, body: bytes) -> RequestView:
        """A cheap view of a client's body; a bad one raises InvalidJson, InvalidRequest or ModelRequired."""

    @abstractmethod
    def parse(self, view: RequestView) -> Any:
        """The operation's typed request; raise InvalidRequest(param=...) on what cannot be read."""

    @abstractmethod
    def patch(self, view: RequestView, target: Target) -> UpstreamRequest:
        """Pass-through: the client's own bytes, the model replaced and the gateway's own fields taken out."""

    @abstractmethod
    def splice(self, answer: Answer) -> ResponseStream:
        """The same protocol on both sides: the upstream's bytes with the splices of architecture 14.1."""

    @abstractmethod
    def encoder(self, answer: Answer) -> Encoder:
        """Write typed deltas as a client's answer."""

    @abstractmethod
    def render_error(self, error: GatewayError, generation_id: str) -> bytes:
        """The body of an error answer, as this protocol's clients expect it."""

    @abstractmethod
    def render_stream_error(self, error: GatewayError, generation_id: str, pricing: bytes | None) -> bytes:
        """The event(s) that end a failed stream; `pricing` is the last word to a client that saw a price."""

    def end_stream(self) -> bytes:
        """What ends a stream whose upstream finished without the protocol's last event; b"" for nothing."""
        return b""


class Translation(ResponseStream):
    """Two protocols joined: the upstream's decoder into the client's encoder.

    `report` is what the client's protocol cannot carry of the answer; with no `client`, nothing is booked.
    """

    def __init__(self, decoder: Decoder, encoder: Encoder, client: Protocol | None = None) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self.facts = decoder.facts
        self.report = Report()
        self._client = client
        self._seen: set[str] = set()

    @override
    def feed(self, data: bytes) -> list[Piece]:
        """Decode, and encode each delta at once: nothing is collected."""
        return self._encoded(self._decoder.feed(data))

    @override
    def close(self) -> list[Piece]:
        """Decode what is left; the encoder's end only if the upstream's answer was complete."""
        pieces = self._encoded(self._decoder.close())
        if self.facts.complete and self.facts.error is None:
            pieces += self._encoder.close()
        return pieces

    def stop(self, choices: int) -> list[Piece]:
        """End a text answer here, as if its limit on output had been reached."""
        self.facts.finish = "length"
        self.facts.complete = True
        ends = [Finished(reason="length", choice=choice) for choice in range(choices)]
        return self._encoded(ends) + self._encoder.close()

    def _encoded(self, deltas: list[Any]) -> list[Piece]:
        pieces: list[Piece] = []
        for delta in deltas:
            if type(delta) is UsageDelta and not is_usage(delta.usage):
                continue  # no encoder has to write what is no quantity
            if self._client is not None and self._client.carries is not None:
                self._book(delta, self._client.carries, self._client.id)
            pieces += self._encoder.feed(delta)
        return pieces

    def _book(self, delta: Any, table: Table, client: str) -> None:
        for feature in answer_features(delta, client):
            if feature not in self._seen:
                self._seen.add(feature)
                row = table.answer[feature]
                self.report.add(row, row.name or feature)
