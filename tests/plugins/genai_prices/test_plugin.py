"""The `genai_prices` plugin: the package's prices in a configuration, and on paper."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway_core.config.problems import ConfigError
from gateway_core.host.snapshot import Snapshot, build
from plugin_sdk.money import Price
from tests.core.cli.conftest import Run, run

pytest.importorskip("genai_prices")

__all__ = ["run"]

CHAT = "openai.chat"
TABLES = {"openai_chat": {}, "anthropic_messages": {}, "text": {}}
OPENAI = {"openai": {"api_key": "none"}}


def snapshot(config: dict[str, Any] | None = None, **plugins: Any) -> Snapshot:
    return build({"plugins": {**TABLES, **plugins, "genai_prices": config or {}}})


def usd(found: Snapshot, model: str, meter: str, plan: str = "standard") -> Decimal | None:
    (endpoint,) = found.endpoints(model, CHAT)
    rules: list[Price] = [one for one in endpoint.card.prices if (one.meter, one.plan) == (meter, plan)]
    return rules[0].usd if rules else None


def test_a_model_without_a_price_gets_the_packages_and_one_with_a_price_of_the_operators_keeps_it() -> None:
    models = [
        {"id": "mine", "upstream": "gpt-4o-mini"},
        {
            "id": "dear",
            "upstream": "gpt-4o-mini",
            "price": {"input_text_tokens": "9", "output_text_tokens": "9"},
        },
        {"id": "unheard-of", "upstream": "unheard-of", "price": "free"},
    ]
    found = snapshot(openai={"api_key": "none", "models": models})
    assert usd(found, "mine", "input_text_tokens") == Decimal("0.15")
    assert usd(found, "dear", "input_text_tokens") == 9
    assert found.endpoints("unheard-of", CHAT)[0].card.free
    assert usd(found, "openai/gpt-5", "output_text_tokens", "batch") == 5


def test_rules_for_plans_that_the_package_does_not_have_stay() -> None:
    (endpoint,) = snapshot(xai={"api_key": "none"}).endpoints("xai/grok-4.6", CHAT)
    plans = {rule.plan for rule in endpoint.card.prices}
    assert "priority" in plans
    (shipped,) = build({"plugins": {**TABLES, "xai": {"api_key": "none"}}}).endpoints("xai/grok-4.6", CHAT)
    own = {rule for rule in shipped.card.prices if rule.plan == "priority"}
    assert own <= set(endpoint.card.prices)


def test_rules_for_meters_that_the_package_has_no_price_for_stay() -> None:
    found = snapshot(xai={"api_key": "none", "models": [{"id": "grok", "upstream": "grok-4.6"}]})
    assert usd(found, "xai/grok-4.6", "native_web_search_requests") == Decimal("0.005")
    assert usd(found, "xai/grok-4.6", "cached_read_text_tokens") == Decimal("0.5")
    assert usd(found, "grok", "native_web_search_requests") is None


def test_only_models_that_fit_and_providers_that_are_known_are_priced() -> None:
    second = {"eu": {"plugin": "openai", "api_key": "none", "models": [{"id": "m", "upstream": "gpt-5"}]}}
    assert snapshot(None, **second).unpriced("m", "text.generate")
    assert usd(snapshot({"providers": {"eu": "openai"}}, **second), "m", "input_text_tokens") == Decimal(
        "1.25"
    )
    narrow = {"providers": {"eu": "openai"}, "models": ["openai/*"]}
    assert snapshot(narrow, **second).unpriced("m", "text.generate")


def test_what_the_package_prices_and_we_cannot_is_said_once_a_provider() -> None:
    (warning,) = snapshot(**OPENAI).warnings
    assert warning.startswith(
        "plugins.genai_prices: openai: there is no way to price storage_searches_kcount here"
    )
    assert " more)" in warning


def test_without_the_package_the_operator_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    with pytest.raises(
        ConfigError, match=r"genai-prices is not installed: pip install 'ai-stats-gateway\[prices\]'"
    ):
        snapshot(**OPENAI)
    assert snapshot({"models": []}, **OPENAI).models


def test_a_provider_that_the_package_does_not_have_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"no provider `opnai` \(did you mean `openai`\?\)"):
        snapshot({"providers": {"openai": "opnai"}}, **OPENAI)


def test_importing_the_plugin_does_not_import_the_package() -> None:
    import subprocess

    code = "import sys, plugins.policies.genai_prices; sys.exit('genai_prices.data' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_the_command_prints_is_a_configuration_with_the_same_prices(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("include: standard\nplugins: {genai_prices: {models: []}}\n")
    printed = run("genai-prices", "openai", "--model", "gpt-5*").stdout
    assert "# no way to price storage_searches_kcount" in printed
    tree = yaml.safe_load(printed)["plugins"]["openai"]
    assert len(tree["models"]) > 10
    assert {one["id"] for one in tree["models"]} >= {"openai/gpt-5", "openai/gpt-5.4"}
    by_hand = build({"plugins": {**TABLES, "openai": {"api_key": "none", "without": ["*"], **tree}}})
    assert by_hand.endpoints("openai/gpt-5.4", CHAT)
    imported = snapshot(openai={"api_key": "none", "models": [{"id": "x", "upstream": "gpt-5.4"}]})
    (theirs,), (ours,) = imported.endpoints("x", CHAT), by_hand.endpoints("openai/gpt-5.4", CHAT)
    text = [[one for one in card.prices if "_text_" in one.meter] for card in (theirs.card, ours.card)]
    assert text[0] == text[1] != []


def test_the_command_refuses_a_provider_that_it_does_not_know(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("include: standard\nplugins: {genai_prices: {models: []}}\n")
    result = run("genai-prices", "opnai")
    assert result.exit_code == 1
    assert "did you mean `openai`?" in result.stderr


def test_a_model_that_is_not_of_text_is_a_comment(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("include: standard\nplugins: {genai_prices: {models: []}}\n")
    lines = run("genai-prices", "groq", "--model", "whisper*").stdout.splitlines()[3:]
    assert lines
    assert all(line.endswith(": not a text model, or no price per token") for line in lines)
