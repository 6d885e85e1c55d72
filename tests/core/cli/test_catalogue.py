"""`gateway catalogue check`: every offer priced once, and refused where that cannot be done."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.core.cli.conftest import Run, found

ROOT = Path(__file__).resolve().parents[3]
PRICED = {"input_text_tokens": "1", "output_text_tokens": "2"}


def configured(folder: Path, *models: dict[str, Any], **more: Any) -> None:
    block = {
        "plugin": "openai_compatible",
        "base_url": "http://127.0.0.1:1/v1",
        "models": list(models),
        **more,
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump({"include": "standard", "plugins": {"p": block}}))


@pytest.mark.parametrize("name", ["gateway.yaml", "full.yaml"])
def test_every_offer_that_we_ship_can_be_priced(run: Run, name: str) -> None:
    checked = found(run("catalogue", "check", "--config", str(ROOT / "config" / name), "--json"))
    assert checked["ok"] is True
    assert [one for one in checked["offers"] if one["problems"] or one["notes"]] == []
    assert all(one["free"] or one["nanos"]["standard"] > 0 for one in checked["offers"])
    places = {one["place"] for one in checked["offers"] if one["provider"] == "simulator"}
    assert places == {"plugins/providers/simulator/models.yaml"}


def test_the_price_is_of_a_thousand_tokens_of_each_needed_meter_in_each_plan(
    run: Run, tmp_path: Path
) -> None:
    flex = [{"meter": meter, "usd": "0.5", "per": 1_000_000, "plan": "flex"} for meter in PRICED]
    rules = [{"meter": meter, "usd": usd, "per": 1_000_000} for meter, usd in PRICED.items()]
    configured(tmp_path, {"id": "m", "price": rules + flex}, {"id": "f", "price": "free"})
    paid, free = found(run("catalogue", "check", "--json"))["offers"]
    assert paid["usage"] == {"input_text_tokens": 1_000, "output_text_tokens": 1_000}
    assert paid["nanos"] == {"standard": 3_000_000, "flex": 1_000_000}
    assert (paid["operation"], free["free"]) == ("text.generate", True)
    table = run("catalogue", "check").stdout.splitlines()
    assert [line.split(maxsplit=3) for line in table] == [
        ["provider", "model", "operation", "costs"],
        ["p", "m", "text.generate", "$0.003, flex $0.001"],
        ["p", "f", "text.generate", "free"],
    ]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"price": {"input_text_tokens": "1"}}, "text.generate needs a price for output_text_tokens"),
        ({}, "text.generate needs a price for input_text_tokens"),
        (
            {"price": PRICED, "output_types": ["text", "image"]},
            "output_types has image, and there is no price for output_image or output_image_tokens",
        ),
        (
            {"price": PRICED, "output_types": ["audio"]},
            "output_types has audio, and there is no price for output_audio_tokens",
        ),
        (
            {"price": [{"meter": name, "usd": "1", "effective_from": "2999-01-01"} for name in PRICED]},
            "its prices do not hold now",
        ),
        (
            {"price": {**PRICED, "output_text_tokens": "99999999999999"}},
            "plan standard: no ledger can hold",
        ),
    ],
)
def test_a_card_that_cannot_price_its_operation_is_named_and_refused(
    run: Run, tmp_path: Path, model: dict[str, Any], said: str
) -> None:
    configured(tmp_path, {"id": "good", "price": PRICED}, {"id": "bad", **model})
    result = run("catalogue", "check")
    assert result.exit_code == 1
    (first, *_) = result.stderr.splitlines()
    assert first.startswith("error: gateway.yaml:")
    assert f": plugins.p: model bad: {said}" in result.stderr
    assert "model good" not in result.stderr
    refused = run("catalogue", "check", "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["ok"]) == (1, False)


def test_what_the_types_imply_is_in_the_usage(run: Run, tmp_path: Path) -> None:
    price = {**PRICED, "output_image_tokens": "30", "input_audio_tokens": "1"}
    types = {"input_types": ["text", "audio", "image", "file"], "output_types": ["text", "image"]}
    configured(tmp_path, {"id": "m", "price": price, **types})
    (offer,) = found(run("catalogue", "check", "--json"))["offers"]
    assert sorted(offer["usage"]) == [
        "input_audio_tokens", "input_image_tokens", "input_text_tokens", "output_image_tokens",
        "output_text_tokens",
    ]  # fmt: skip


def test_a_hole_between_conditions_is_noted_and_so_is_what_is_not_charged(run: Run, tmp_path: Path) -> None:
    hole = [
        {"meter": meter, "usd": "1", "when": [{"path": "input_tokens", "op": "gt", "value": 5_000}]}
        for meter in PRICED
    ]
    configured(tmp_path, {"id": "m", "price": hole}, {"id": "u"}, unpriced="allow")
    result = run("catalogue", "check")
    assert result.exit_code == 0
    assert (
        "model m: plan standard: no conditions hold for input_text_tokens, output_text_tokens"
        in result.stderr
    )
    assert "model u: `unpriced: allow`: what has no price is not charged" in result.stderr
