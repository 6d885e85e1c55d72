"""`check_protocol`: the rules that every wire protocol keeps, as assertions."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from plugin_sdk.errors import ClientError, GatewayError, InvalidJson, ModelRequired, UpstreamRejected
from plugin_sdk.modality import Operation
from plugin_sdk.money import Usage, is_usage
from plugin_sdk.protocol import (
    END,
    GATEWAY_FIELDS,
    Answer,
    Decoder,
    Encoder,
    Facts,
    Meta,
    Piece,
    Price,
    Protocol,
    RequestView,
    ResponseStream,
    Target,
)
from plugin_sdk.testing.rules import rule
from plugin_sdk.testing.upstream import cut

GENERATION: Final = "G-01CONFORMANCE000000000000"
TARGET: Final = Target(base_url="https://upstream.example/v1", model="upstream-model")
_SIZES: Final = (1, 2, 3, 7, 64)
_UNKNOWN: Final = (
    b'{"deep": [1, 2.50, "\xc3\xa9"]}'  # 2.50 and the spaces: it must come through as it was written
)
_CAUSE: Final = "the cause is for the log"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A client's request and a provider's whole answer to it; `usage` is what it must be metered as."""

    request: bytes
    response: bytes
    usage: Usage | None = None


def check_protocol(protocol: Protocol, *samples: Sample, operation: Operation | None = None) -> None:
    """Raise ConformanceError at the first rule that the protocol breaks.

    Give samples with and without a stream. With `operation`, no meter may occur that it does not declare.
    """
    rule(samples, "give at least one sample")
    rule(protocol.id and protocol.operation, "a protocol has an `id` and an `operation`")
    rule(
        operation is None or operation.name == protocol.operation, f"the protocol is for {protocol.operation}"
    )
    _check_errors(protocol)
    for sample in samples:
        view = protocol.index(sample.request)
        _check_refusals(protocol, sample.request)
        _check_patch(protocol, sample.request, view)
        _check_round_trip(protocol, view)
        _check_splices(protocol, sample, view)
        _check_cuts(protocol, sample, view)
        _check_translation(protocol, sample, view)
        if operation is not None:
            facts = _through(protocol.splice(_answer(view)), [sample.response])[1]
            undeclared = set(facts.usage or {}) - operation.meters
            rule(not undeclared, f"meters that {operation.name} does not declare: {sorted(undeclared)}")


def _check_errors(protocol: Protocol) -> None:
    """Every error of the hierarchy can be shown, whole and in a stream, and never shows its cause."""
    for kind in _every_error(GatewayError):
        more = {"upstream_status": 404} if issubclass(kind, UpstreamRejected) else {}
        made = kind("Words for the client.", **more)  # type: ignore[arg-type]  # only where the class asks for it
        made.__cause__ = RuntimeError(_CAUSE)
        body = protocol.render_error(made, GENERATION)
        shown = msgspec.json.decode(body)
        rule(
            isinstance(shown, dict) and "error" in shown,
            f"{kind.__name__} is not rendered as an object with `error`",
        )
        event = protocol.render_stream_error(made, GENERATION, b'{"total_nanos":0}')
        rule(b'"total_nanos":0' in event, f"{kind.__name__} in a stream loses the last word on the price")
        for written in (body, event, protocol.render_stream_error(made, GENERATION, None)):
            rule(made.message.encode() in written, f"{kind.__name__} is rendered without its message")
            rule(GENERATION.encode() in written, f"{kind.__name__} is rendered without the generation's id")
            rule(_CAUSE.encode() not in written, f"{kind.__name__} is rendered with its cause")


def _check_refusals(protocol: Protocol, request: bytes) -> None:
    """What cannot be read is a 400 of the right class, never another exception."""
    at = request.rindex(b"}")
    bad: list[tuple[bytes, type[ClientError], str]] = [
        (b"", InvalidJson, "an empty body"),
        (request[:at], InvalidJson, "a body cut short"),
        (b"[]", InvalidJson, "a list"),
        (request[:at] + b',"x":"\xff"}', InvalidJson, "a body that is not UTF-8"),
        (request[:at] + b',"model":"other"}', InvalidJson, "a model given twice"),
        (request[:at] + b',"x":' + b"[" * 200 + b"]" * 200 + b"}", InvalidJson, "a body nested 200 deep"),
        (_without_model(request), ModelRequired, "a body without a model"),
    ]
    for body, expected, what in bad:
        try:
            protocol.index(body)
        except ClientError as error:
            rule(
                isinstance(error, expected),
                f"{what} must raise {expected.__name__}, not {type(error).__name__}",
            )
        else:
            rule(None, f"{what} must raise {expected.__name__}")


def _check_patch(protocol: Protocol, request: bytes, view: RequestView) -> None:
    """The client's own bytes go upstream: another model, none of the gateway's fields, unknown ones kept."""
    rule(view.body == request, "`index` must keep the client's bytes in the view")
    rule(view.model, "`index` must find the model")
    gateway = b"".join(b',"%s":%s' % (name.encode(), value) for name, value in _gateway_fields(request))
    at = request.rindex(b"}")
    asked = request[:at] + b',"x_conformance":' + _UNKNOWN + gateway + b"}"
    sent = protocol.patch(protocol.index(asked), TARGET)
    rule(
        sent.method == "POST" and sent.url.startswith(TARGET.base_url),
        f"`patch` asks {sent.method} {sent.url}",
    )
    rule(
        all(name == name.lower() for name in sent.headers),
        "`patch` set a header whose name is not lower case",
    )
    body = msgspec.json.decode(sent.body)
    rule(_UNKNOWN in sent.body, "`patch` must keep an unknown field byte for byte")
    kept = sorted(GATEWAY_FIELDS & set(body))
    rule(not kept, f"`patch` sends the gateway's own fields upstream: {kept}")
    rule(
        TARGET.model in sent.url or TARGET.model.encode() in sent.body,
        "`patch` must send the upstream's model",
    )
    original = msgspec.json.decode(request)
    lost = [name for name in original if name not in body and name not in GATEWAY_FIELDS]
    rule(not lost, f"`patch` loses {lost}")


def _check_round_trip(protocol: Protocol, view: RequestView) -> None:
    """What was built says, when it is read and built again, the same."""
    first = protocol.build(protocol.parse(view), TARGET)
    again = protocol.build(protocol.parse(protocol.index(first.body)), TARGET)
    rule(
        msgspec.json.decode(first.body) == msgspec.json.decode(again.body),
        f"a request changes when it is read and built again: {first.body[:300]!r} -> {again.body[:300]!r}",
    )


def _check_splices(protocol: Protocol, sample: Sample, view: RequestView) -> None:
    """However the answer is cut on the wire, the client gets the same, and so does the ledger."""
    whole, facts = _through(protocol.splice(_answer(view)), [sample.response])
    said = sample.response[:80]
    rule(facts.complete and facts.error is None, f"the answer {said!r} is not seen to be complete")
    rule(facts.started, f"the answer {said!r} is not seen to have started")
    rule(GENERATION.encode() in whole, "the answer must carry the generation's id")
    rule(_kept(_values(sample.response), _values(whole)), f"pass-through changes the answer {said!r}")
    _check_usage(facts.usage, sample.usage)
    for size in _SIZES:
        other, learnt = _through(protocol.splice(_answer(view)), cut(sample.response, size))
        rule(other == whole, f"the answer changes when it comes {size} bytes at a time")
        rule(
            _learnt(learnt) == _learnt(facts),
            f"the facts change when the answer comes {size} bytes at a time",
        )
    exact = msgspec.structs.replace(_answer(view), exact=True)
    for size in (len(sample.response), *_SIZES):
        untouched, _ = _through(protocol.splice(exact), cut(sample.response, size))
        rule(untouched == sample.response, f"exact mode changes the answer {said!r}, {size} bytes at a time")


def _check_usage(usage: Usage | None, expected: Usage | None) -> None:
    for meter, quantity in (usage or {}).items():
        rule(
            is_usage({meter: quantity}),
            f"{meter}: {quantity!r} is no quantity: it is an int, or a finite Decimal where no tokens are "
            "counted, and not negative",
        )
    if expected is not None:
        used, wanted = ({meter: n for meter, n in (one or {}).items() if n} for one in (usage, expected))
        rule(used == wanted, f"metered {used}, not {wanted}: meters are disjoint")


def _check_cuts(protocol: Protocol, sample: Sample, view: RequestView) -> None:
    """An answer that ends before its end is told from one that does not, and raises nothing."""
    body = sample.response
    places = set(range(0, len(body), max(1, len(body) // 60)))
    places |= {at + 2 for at in range(len(body)) if body.startswith(b"\n\n", at)} - {len(body)}
    for at in sorted(places):
        _, facts = _through(protocol.splice(_answer(view)), [body[:at]])
        rule(
            not facts.complete or (view.stream and facts.finish is not None),
            f"an answer cut after {at} of {len(body)} bytes is taken for a complete one",
        )


def _check_translation(protocol: Protocol, sample: Sample, view: RequestView) -> None:
    """Decoded and encoded again, an answer is still the same answer: as a stream and as a whole."""
    decoder = protocol.decoder(stream=view.stream)
    deltas = _decoded(decoder, [sample.response])
    for size in _SIZES:
        other = protocol.decoder(stream=view.stream)
        rule(
            _decoded(other, cut(sample.response, size)) == deltas,
            f"the deltas change at {size} bytes",
        )
        rule(_learnt(other.facts) == _learnt(decoder.facts), f"the facts change at {size} bytes")
    spliced = _through(protocol.splice(_answer(view)), [sample.response])[1]
    rule(_result(decoder.facts) == _result(spliced), "the decoder learns other facts than pass-through does")
    for stream in (True, False):
        answer = msgspec.structs.replace(_answer(view), stream=stream)
        written, ends = _encoded(protocol.encoder(answer), deltas)
        rule(ends == 1, f"an encoder ends an answer once, not {ends} times")
        again = protocol.decoder(stream=stream)
        _decoded(again, [written])
        kind = "stream" if stream else "whole answer"
        rule(
            _result(again.facts) == _result(decoder.facts), f"the {kind} that was encoded says something else"
        )


def _through(stream: ResponseStream, chunks: Iterable[bytes]) -> tuple[bytes, Facts]:
    """What the client gets, and what was learnt; a complete answer marks its end, a cut one not."""
    pieces = [piece for chunk in chunks for piece in stream.feed(chunk)] + stream.close()
    ends = pieces.count(END)
    rule(ends == stream.facts.complete, f"an answer has {ends} End pieces; complete: {stream.facts.complete}")
    return _written(pieces), stream.facts


def _decoded(decoder: Decoder, chunks: Iterable[bytes]) -> list[Any]:
    return [delta for chunk in chunks for delta in decoder.feed(chunk)] + decoder.close()


def _encoded(encoder: Encoder, deltas: Sequence[Any]) -> tuple[bytes, int]:
    pieces = [piece for delta in deltas for piece in encoder.feed(delta)] + encoder.close()
    return _written(pieces), pieces.count(END)


def _written(pieces: Iterable[Piece]) -> bytes:
    """The pieces with their holes filled as the core would."""
    return b"".join(_filled(piece) for piece in pieces)


def _filled(piece: Piece) -> bytes:
    if isinstance(piece, Price):
        return (b'"%s":{}' if piece.empty else b',"%s":{}') % piece.key.encode()
    return piece if isinstance(piece, bytes) else b',"meta":{}' if isinstance(piece, Meta) else b""


def _answer(view: RequestView) -> Answer:
    return Answer(generation_id=GENERATION, stream=view.stream, usage_event=True, model=view.model)


def _learnt(facts: Facts) -> tuple[Any, ...]:
    return (*_result(facts), facts.started, facts.output, facts.native_id, facts.skipped)


def _result(facts: Facts) -> tuple[Any, ...]:
    used = {meter: quantity for meter, quantity in (facts.usage or {}).items() if quantity}
    return used, facts.finish, facts.complete, facts.error and facts.error.message


def _values(body: bytes) -> list[Any]:
    """The JSON of a whole answer, or the data of each event of a stream."""
    if body.lstrip()[:1] in (b"{", b"["):
        return [_decode(body)]
    return [_decode(line[5:].strip()) for line in body.splitlines() if line.startswith(b"data:")]


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data


def _kept(original: Any, written: Any) -> bool:
    """Whether everything is still there; members may be new, and ids the generation's."""
    if isinstance(original, dict) and isinstance(written, dict):
        return all(name in written and _kept(value, written[name]) for name, value in original.items())
    if isinstance(original, list) and isinstance(written, list):
        return len(original) == len(written) and all(map(_kept, original, written))
    return bool(original == written or written == GENERATION)


def _gateway_fields(request: bytes) -> list[tuple[str, bytes]]:
    """Each of the gateway's own fields that the request has not, with a value it may have."""
    values = {"provider": b'{"order":["a"]}', "debug": b'{"enabled":true}', "beta": b"null"}
    present = msgspec.json.decode(request)
    return [(name, values.get(name, b"true")) for name in sorted(GATEWAY_FIELDS) if name not in present]


def _without_model(request: bytes) -> bytes:
    body = msgspec.json.decode(request)
    return msgspec.json.encode({name: value for name, value in body.items() if name != "model"})


def _every_error(base: type[GatewayError]) -> list[type[GatewayError]]:
    return [base, *(one for child in base.__subclasses__() for one in _every_error(child))]
