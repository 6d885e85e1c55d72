"""Every first-party provider and protocol, and a stranger's, under the kit that strangers use."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from plugin_sdk.provider import Provider
from plugin_sdk.testing import Sample, check_protocol, check_provider, models_of
from plugins.modalities.text import GENERATE
from plugins.protocols.openai_chat import OpenAIChat
from plugins.providers.openai import OpenAI
from plugins.providers.openai_compatible import OpenAICompatible
from plugins.providers.simulator import Simulator, SimulatorConfig

ACME = Path(__file__).parents[1] / "thirdparty" / "acme"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED: dict[str, dict[str, Any]] = {
    "text": {},
    "reasoning": {"model": "sim/reasoner"},
    "tools": {"tools": [WEATHER], "tool_choice": "required"},
    "choices": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "cut short": {"max_tokens": 3},
    "not ASCII": {"messages": [{"role": "user", "content": "Say: \u00fcber \U0001f642 caf\u00e9"}]},
}


@pytest.mark.parametrize(
    ("provider", "config"),
    [(OpenAI, {}), (OpenAICompatible, {"base_url": "http://127.0.0.1:8000/v1"}), (Simulator, {})],
)
def test_a_first_party_provider_keeps_the_rules(
    provider: type[Provider[Any]], config: dict[str, Any]
) -> None:
    check_provider(provider, config, operations=[GENERATE])


def test_a_strangers_provider_keeps_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ACME))
    monkeypatch.delitem(sys.modules, "acme_gateway", raising=False)
    from acme_gateway.provider import Acme  # type: ignore[import-not-found]

    check_provider(Acme, {"region": "us"}, operations=[GENERATE])
    assert [model.id for model in models_of(Acme)] == ["acme/small", "acme/large"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", ASKED)
async def test_the_chat_protocol_keeps_the_rules_over_what_the_simulator_answers(
    asked: str, stream: bool
) -> None:
    body = {
        "model": "sim/chat",
        "messages": [{"role": "user", "content": "How do rainbows work in Paris?"}],
        "stream": stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
        **ASKED[asked],
    }
    request = json.dumps(body).encode()
    upstream = Simulator("simulator", SimulatorConfig()).transport()
    assert upstream is not None
    answer = await upstream.handle_async_request(
        httpx.Request("POST", "http://simulator.invalid/v1/chat/completions", content=request)
    )
    check_protocol(OpenAIChat(), Sample(request=request, response=await answer.aread()), operation=GENERATE)
