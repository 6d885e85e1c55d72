"""`gateway schema`: what it lets through and what it does not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from gateway_core.config.problems import Problems
from gateway_core.config.schema import schema
from gateway_core.config.tree import parse
from gateway_core.host.discover import discover, offers
from tests.core.config.json_schema import fits

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    found = discover([offer.name for offer in offers()])
    return schema({name: kind.Config for name, kind in found.classes.items()})


def read(text: str) -> Any:
    problems = Problems()
    tree = parse(text, "f.yaml", problems)
    problems.raise_if_any()
    assert tree is not None
    return tree.plain()


@pytest.mark.parametrize(
    "name", ["config/gateway.yaml", "config/full.yaml", "plugins/standard.yaml", "plugins/default.yaml"]
)
def test_the_shipped_files_fit(made: dict[str, Any], name: str) -> None:
    assert fits(read((ROOT / name).read_text()), made, made)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "include: [standard, more]",
        "gateway: {workers: '${WORKERS}', durability: '${D:-full}'}",
        "plugins: {router: false, text: null, simulator: true}",
        "plugins: {mine: {plugin: openai_compatible, base_url: 'http://h', models: [{id: m, price: free}]}}",
        "plugins: {openai: {plugin: openai_compatible, base_url: 'http://h/v1'}}",
        "plugins: {openai: {models: [{id: m, price: [{meter: requests, usd: '1', per: 10}]}]}}",
        "plugins: {simulator: {delay: '${DELAY}'}}",
    ],
)
def test_what_may_be_written_fits(made: dict[str, Any], text: str) -> None:
    assert fits(read(text), made, made)


@pytest.mark.parametrize(
    "text",
    [
        "gatway: {}",
        "gateway: {lisen: x}",
        "gateway: {workers: many}",
        "gateway: {workers: 0}",
        "gateway: {durability: some}",
        "plugins: [a]",
        "plugins: {router: {x: 1}}",
        "plugins: {simulator: {delay: -1}}",
        "plugins: {simulator: 3}",
        "plugins: {mine: {plugin: nothing_like_it}}",
        "plugins: {mine: {plugin: openai, bas_url: x}}",
        "plugins: {openai: {models: [{upstream: m}]}}",
        "plugins: {openai: {deadlines: {conect: 1}}}",
    ],
)
def test_what_may_not_be_written_does_not_fit(made: dict[str, Any], text: str) -> None:
    assert not fits(read(text), made, made)


class _Strange(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    thing: complex | object = object()
    run: type[BaseException] = OSError


def test_a_plugin_whose_options_have_no_schema_takes_any() -> None:
    made = schema({"strange": _Strange})
    assert fits({"plugins": {"strange": {"whatever": 1}}}, made, made)
    assert not fits({"plugins": {"strange": 3}}, made, made)


def test_two_plugins_with_configs_of_one_name_keep_their_own() -> None:
    first = type(
        "Config", (BaseModel,), {"__annotations__": {"a": int}, "model_config": ConfigDict(extra="forbid")}
    )
    second = type(
        "Config", (BaseModel,), {"__annotations__": {"b": int}, "model_config": ConfigDict(extra="forbid")}
    )
    made = schema({"first": first, "second": second})
    assert fits({"plugins": {"first": {"a": 1}, "second": {"b": 1}}}, made, made)
    assert not fits({"plugins": {"first": {"b": 1}}}, made, made)
