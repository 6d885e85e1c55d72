"""The kit itself: what breaks a rule is found, and the scripted upstream does as it is told."""

import asyncio
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from typing_extensions import override

from plugin_sdk.errors import GatewayError, InvalidRequest, UpstreamError, UpstreamRejected
from plugin_sdk.modality import Operation
from plugin_sdk.protocol import (
    END,
    Answer,
    Encoder,
    Piece,
    RequestView,
    ResponseStream,
    Target,
    UpstreamRequest,
)
from plugin_sdk.provider import Provider, ProviderConfig
from plugin_sdk.testing import (
    ConformanceError,
    Sample,
    ScriptedUpstream,
    answer,
    check_protocol,
    check_provider,
    cut,
    stream,
)
from plugins.modalities.text import GENERATE
from plugins.protocols.openai_chat import OpenAIChat

# Providers


class Good(Provider[ProviderConfig]):
    base_url = "https://api.good.example/v1"
    speaks = {"text.generate": "openai.chat"}


def changed(name: str, value: Any) -> type[Provider[Any]]:
    return type("Changed", (Good,), {name: value})


class ShowsItsKey(Good):
    @override
    def __repr__(self) -> str:
        return f"ShowsItsKey({self.config.api_key.get_secret_value()})"  # type: ignore[union-attr]


class PlainConfig(ProviderConfig):
    api_key: str | None = None  # type: ignore[assignment]


def _same(_: Provider[Any], request: UpstreamRequest) -> UpstreamRequest:
    return request


def _in_place(_: Provider[Any], request: UpstreamRequest) -> UpstreamRequest:
    request.headers["authorization"] = "Bearer x"
    return request


def _upper(_: Provider[Any], request: UpstreamRequest) -> UpstreamRequest:
    return msgspec.structs.replace(request, headers={"Authorization": "x"})


def _elsewhere(_: Provider[Any], request: UpstreamRequest) -> UpstreamRequest:
    return msgspec.structs.replace(request, url="https://evil.example/v1/x", headers={"a": "b"})


def _echo(self: Provider[Any], status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    return UpstreamError(body.decode("latin-1") or "none", upstream_status=status, provider=self.name)


def _anonymous(_: Provider[Any], status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    return UpstreamError("It failed.", upstream_status=status)


def _final(self: Provider[Any], status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    return UpstreamRejected("It failed.", upstream_status=400, provider=self.name)


@pytest.mark.parametrize(
    ("provider", "rule"),
    [
        (changed("speaks", {}), "`speaks` is empty"),
        (changed("speaks", {"text.generate": ""}), "empty name"),
        (changed("base_url", None), "not an absolute"),
        (changed("base_url", "api.good.example/v1"), "not an absolute"),
        (changed("base_url", "https://api.good.example/v1?key=1"), "query"),
        (changed("sign", _same), "no credential"),
        (changed("sign", _in_place), "changed the request"),
        (changed("sign", _upper), "not lower case"),
        (changed("sign", _elsewhere), "another host"),
        (changed("sign", lambda *_: None), "must return an UpstreamRequest"),
        (changed("keyed", lambda self, _: self), "does not sign with the key that it is given"),
        (changed("classify", lambda *_: ValueError()), "must return an UpstreamError"),
        (changed("classify", _echo), "our API key"),
        (changed("classify", _anonymous), "name the provider"),
        (changed("classify", _final), "loses the status"),
        (changed("transport", lambda _: "http"), "AsyncBaseTransport"),
        (ShowsItsKey, "is shown by repr"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_provider_that_breaks_a_rule_is_told_which(provider: type[Provider[Any]], rule: str) -> None:
    with pytest.raises(ConformanceError, match=rule):
        check_provider(provider)


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        ({"id": "a"}, "a has no price"),
        ({"id": "a", "price": {"input_text_tokens": "1"}}, "no price for output_text_tokens"),
        ({"id": "a", "price": {"input_text_tokens": "1", "inputs": "1"}}, "does not meter"),
        ({"id": "a", "price": "free", "operations": ["image.generate"]}, "does not speak"),
    ],
)
def test_a_model_that_cannot_be_priced_or_served_is_named(model: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConformanceError, match=rule):
        check_provider(Good, {"models": [model]}, operations=[GENERATE])


def test_a_good_provider_passes() -> None:
    models = [
        {"id": "a", "price": "free"},
        {"id": "b", "price": {"input_text_tokens": "1", "output_text_tokens": "2"}},
    ]
    check_provider(Good, {"models": models}, operations=[GENERATE])
    check_provider(Good, {"models": [{"id": "a"}], "unpriced": "allow"}, operations=[GENERATE])


# Protocols

REQUEST = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.50}
).encode()
STREAM = REQUEST[:-1] + b', "stream": true, "stream_options": {"include_usage": true}}'
USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 3},
}
METERED: dict[str, int | Decimal] = {
    "input_text_tokens": 2, "cached_read_text_tokens": 3, "output_text_tokens": 2,
}  # fmt: skip
HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def event(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    return HEAD | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


EVENTS = (event({"role": "assistant", "content": "Good"}), event({"content": " day"}), event({}, "stop"))
STREAMED = Sample(
    request=STREAM,
    response=b"".join(stream(*EVENTS, HEAD | {"choices": [], "usage": USAGE}, "[DONE]").pieces),
    usage=METERED,
)
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Good day"}, "finish_reason": "stop"}
WHOLE = Sample(
    request=REQUEST,
    response=answer(HEAD | {"object": "chat.completion", "choices": [CHOICE], "usage": USAGE}).pieces[0],
    usage=METERED,
)


class Spoilt(ResponseStream):
    """Another stream's pieces and facts, with something done to them."""

    def __init__(self, inner: ResponseStream, pieces: Callable[[list[Piece]], list[Piece]]) -> None:
        self._inner = inner
        self._pieces = pieces
        self.facts = inner.facts

    @override
    def feed(self, data: bytes) -> list[Piece]:
        return self._pieces(self._inner.feed(data))

    @override
    def close(self) -> list[Piece]:
        return self._pieces(self._inner.close())


class LosesUnknown(OpenAIChat):
    @override
    def patch(self, view: RequestView, target: Target) -> UpstreamRequest:
        sent = super().patch(view, target)
        body = {name: value for name, value in json.loads(sent.body).items() if not name.startswith("x_")}
        return msgspec.structs.replace(sent, body=json.dumps(body).encode())


class Reencodes(OpenAIChat):
    @override
    def patch(self, view: RequestView, target: Target) -> UpstreamRequest:
        sent = super().patch(view, target)
        return msgspec.structs.replace(sent, body=msgspec.json.encode(json.loads(sent.body)))


class SendsOurFields(OpenAIChat):
    @override
    def patch(self, view: RequestView, target: Target) -> UpstreamRequest:
        sent = super().patch(view, target)
        return msgspec.structs.replace(sent, body=sent.body[:-1] + b',"meta":true}')


class KeepsTheModel(OpenAIChat):
    @override
    def patch(self, view: RequestView, target: Target) -> UpstreamRequest:
        return super().patch(view, msgspec.structs.replace(target, model=view.model))


class TakesTwoModels(OpenAIChat):
    @override
    def index(self, body: bytes) -> RequestView:
        return super().index(body.replace(b',"model":"other"', b""))


class ShowsTheCause(OpenAIChat):
    @override
    def render_error(self, error: GatewayError, generation_id: str) -> bytes:
        shown = super().render_error(error, generation_id)
        return shown[:-1] + json.dumps({"x": str(error.__cause__)})[1:].join([",", ""]).encode()


class LosesTheId(OpenAIChat):
    @override
    def render_error(self, error: GatewayError, generation_id: str) -> bytes:
        return super().render_error(error, "")


class LosesBytes(OpenAIChat):
    @override
    def splice(self, answer: Answer) -> ResponseStream:
        return Spoilt(super().splice(answer), _without_the_largest)


class LosesTheEnd(OpenAIChat):
    @override
    def splice(self, answer: Answer) -> ResponseStream:
        return Spoilt(super().splice(answer), lambda pieces: [piece for piece in pieces if piece != END])


def _without_the_largest(pieces: list[Piece]) -> list[Piece]:
    sizes = [len(piece) if isinstance(piece, bytes) else 0 for piece in pieces]
    return [piece for piece, size in zip(pieces, sizes, strict=True) if size < max(sizes, default=0)]


class ChangesExact(OpenAIChat):
    @override
    def splice(self, answer: Answer) -> ResponseStream:
        return super().splice(msgspec.structs.replace(answer, exact=False))


class CountsTwice(OpenAIChat):
    @override
    def splice(self, answer: Answer) -> ResponseStream:
        inner = super().splice(answer)

        def spoil(pieces: list[Piece]) -> list[Piece]:
            if inner.facts.usage:
                inner.facts.usage = {**inner.facts.usage, "input_text_tokens": 5}
            return pieces

        return Spoilt(inner, spoil)


class AlwaysComplete(OpenAIChat):
    @override
    def splice(self, answer: Answer) -> ResponseStream:
        inner = super().splice(answer)

        class Hasty(Spoilt):
            @override
            def close(self) -> list[Piece]:
                pieces = super().close()
                self.facts.complete, self.facts.error = True, None
                return [*pieces, END]

        return Hasty(inner, lambda pieces: [piece for piece in pieces if piece != END])


class EndsTwice(OpenAIChat):
    @override
    def encoder(self, answer: Answer) -> Encoder:
        inner = super().encoder(answer)

        class Twice(Encoder):
            @override
            def feed(self, delta: Any) -> list[Piece]:
                return inner.feed(delta)

            @override
            def close(self) -> list[Piece]:
                return [END, *inner.close()]

        return Twice()


class GrowsInTheRoundTrip(OpenAIChat):
    @override
    def build(self, request: Any, target: Target) -> UpstreamRequest:
        sent = super().build(request, target)
        body = json.loads(sent.body)
        body["messages"].append({"role": "user", "content": "again"})
        return msgspec.structs.replace(sent, body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("protocol", "rule"),
    [
        (LosesUnknown, "unknown field byte for byte"),
        (Reencodes, "unknown field byte for byte"),
        (SendsOurFields, "own fields upstream"),
        (KeepsTheModel, "must send the upstream's model"),
        (TakesTwoModels, "a model given twice"),
        (ShowsTheCause, "rendered with its cause"),
        (LosesTheId, "without the generation's id"),
        (ChangesExact, "exact mode changes"),
        (CountsTwice, "meters are disjoint"),
        (AlwaysComplete, "taken for a complete one"),
        (EndsTwice, "ends an answer once"),
        (GrowsInTheRoundTrip, "changes when it is read and built again"),
        (LosesTheEnd, "0 End pieces"),
        (LosesBytes, "must carry the generation's id|changes"),
    ],
)
@pytest.mark.parametrize("sample", [WHOLE, STREAMED], ids=["whole", "stream"])
def test_a_protocol_that_breaks_a_rule_is_told_which(
    protocol: type[OpenAIChat], rule: str, sample: Sample
) -> None:
    with pytest.raises(ConformanceError, match=rule):
        check_protocol(protocol(), sample)


def test_a_protocol_whose_meters_are_not_declared_is_told_so() -> None:
    narrow = Operation(name="text.generate", lifecycle="stream", meters=frozenset({"input_text_tokens"}))
    with pytest.raises(ConformanceError, match="cached_read_text_tokens"):
        check_protocol(OpenAIChat(), WHOLE, operation=narrow)


def test_the_samples_pass_as_they_are() -> None:
    check_protocol(OpenAIChat(), WHOLE, STREAMED, operation=GENERATE)


def test_a_protocol_that_refuses_a_good_request_fails_with_its_own_error() -> None:
    class Picky(OpenAIChat):
        @override
        def index(self, body: bytes) -> RequestView:
            raise InvalidRequest("never", param="messages")

    with pytest.raises(InvalidRequest):
        check_protocol(Picky(), WHOLE)


# The scripted upstream


async def test_the_script_is_answered_in_order_and_the_last_answer_stays() -> None:
    upstream = ScriptedUpstream(answer({"n": 1}, status=429), answer({"n": 2}))
    async with httpx.AsyncClient(transport=upstream) as client:
        found = [await client.post("http://x.invalid/y", json={"ask": n}) for n in range(3)]
    assert [(one.status_code, one.json()) for one in found] == [
        (429, {"n": 1}),
        (200, {"n": 2}),
        (200, {"n": 2}),
    ]
    assert [upstream.sent(n) for n in range(3)] == [{"ask": 0}, {"ask": 1}, {"ask": 2}]
    assert upstream.sent() == {"ask": 2}


async def test_a_stream_comes_in_the_pieces_that_were_asked_for() -> None:
    upstream = ScriptedUpstream(stream({"a": 1}, "[DONE]", size=5))
    async with (
        httpx.AsyncClient(transport=upstream) as client,
        client.stream("GET", "http://x.invalid") as found,
    ):
        pieces = [piece async for piece in found.aiter_raw()]
    assert b"".join(pieces) == b'data: {"a":1}\n\ndata: [DONE]\n\n'
    assert {len(piece) for piece in pieces[:-1]} == {5}


async def test_an_upstream_can_refuse_and_can_break_off() -> None:
    upstream = ScriptedUpstream(httpx.ConnectError("refused"), stream({"a": 1}, end="cut"))
    async with httpx.AsyncClient(transport=upstream) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://x.invalid")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("http://x.invalid")


async def test_an_upstream_can_fall_silent_until_it_is_given_up() -> None:
    upstream = ScriptedUpstream(stream({"a": 1}, end="stall"))
    async with (
        httpx.AsyncClient(transport=upstream) as client,
        client.stream("GET", "http://x.invalid") as found,
    ):
        pieces = found.aiter_raw()
        assert await anext(pieces) == b'data: {"a":1}\n\n'
        waiting = asyncio.ensure_future(anext(pieces))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


def test_bytes_are_cut_into_pieces_of_one_size() -> None:
    assert cut(b"abcdefg", 3) == [b"abc", b"def", b"g"]
