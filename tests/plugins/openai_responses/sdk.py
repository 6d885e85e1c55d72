"""What the official SDK makes of our answers: its strict types, and the response that it puts together."""

from typing import Any, get_args

import httpx2
import openai
from openai.types.responses import Response, ResponseStreamEvent

EVENTS: dict[str, Any] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(ResponseStreamEvent)[0])
}
_PLAIN = ("message", "reasoning", "function_call", "custom_tool_call", "image_generation_call")
_OVER = ("response.completed", "response.incomplete")


def accept_event(event: dict[str, Any]) -> None:
    """Raise ValidationError for what the SDK's type of an event does not hold."""
    EVENTS[event["type"]].model_validate(event, strict=True)


def accept(response: dict[str, Any]) -> None:
    """The same of a whole response."""
    Response.model_validate(response, strict=True)


def legal(found: list[dict[str, Any]], *, typed: bool = True) -> None:
    """Numbered from 0, opened before they are written to, closed once; and the official types take each."""
    opened: dict[int, bool] = {}
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    assert [one["type"] for one in found[:2]] == ["response.created", "response.in_progress"]
    ids: dict[int, str] = {}
    for one in found:
        if typed and not _of_a_tool(one):
            accept_event(one)
        index = one.get("output_index")
        if not isinstance(index, int):
            continue
        if one["type"] == "response.output_item.added":
            assert index == len(opened)
            opened[index] = True
            ids[index] = one["item"].get("id", "")
        elif one["type"] == "response.output_item.done":
            assert opened[index]
            assert one["item"].get("id", "") == ids[index] or not typed  # some change them on the way
            opened[index] = False
        else:
            assert opened[index], one
            assert one["item_id"] == ids[index]
    assert not any(opened.values())
    assert [one["type"] in _OVER for one in found] == [False] * (len(found) - 1) + [True]


def _of_a_tool(one: dict[str, Any]) -> bool:
    """Whether a tool of the provider's own begins: its own service leaves out what the types want."""
    return one["type"] == "response.output_item.added" and one["item"]["type"] not in _PLAIN


class Accumulator:
    """One SDK client over answers that are put in by hand."""

    def __init__(self) -> None:
        self._body = b""
        self._client = openai.OpenAI(
            api_key="k",
            base_url="http://gateway.invalid/v1",
            max_retries=0,
            http_client=httpx2.Client(transport=httpx2.MockTransport(self._answer)),
        )

    def response(self, body: bytes) -> tuple[dict[str, Any], str]:
        """The final response of the SDK's own stream helper, and the text of its deltas."""
        self._body = body
        text = ""
        with self._client.responses.stream(model="m", input="x") as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    text += event.delta
            return stream.get_final_response().to_dict(mode="json"), text

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=self._body)
