"""What a configuration comes to: protocols, providers, routes, endpoints and their prices."""

from decimal import Decimal
from typing import Any

import pytest

from gateway_core.config.problems import ConfigError
from gateway_core.host.snapshot import Snapshot, build
from plugin_sdk.money import charge
from tests.core.conftest import Install

TEXT = "text.generate"
CHAT = "openai.chat"
PRICED = {"input_text_tokens": "1", "output_text_tokens": "2"}


def snapshot(**plugins: Any) -> Snapshot:
    return build({"plugins": {"openai_chat": {}, "text": {}, **plugins}})


def provider(*models: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "plugin": "openai_compatible",
        "base_url": "http://127.0.0.1:1/v1",
        "models": list(models),
        **more,
    }


def errors(**plugins: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        snapshot(**plugins)
    return caught.value.errors


def test_a_model_becomes_an_endpoint() -> None:
    found = snapshot(
        p=provider({"id": "m", "upstream": "u", "price": PRICED, "max_output": 7, "context": 9, "weight": 3})
    )
    (endpoint,) = found.endpoints("m", CHAT)
    assert (endpoint.provider, endpoint.model, endpoint.upstream_model) == ("p", "m", "u")
    assert (endpoint.operation, endpoint.protocol) == (TEXT, "openai.chat")
    assert (endpoint.max_output, endpoint.context, endpoint.weight, endpoint.simulated) == (7, 9, 3, False)
    assert found.knows("m")
    assert not found.unpriced("m", TEXT)


def test_the_upstream_model_is_the_id_where_nothing_else_is_said() -> None:
    (endpoint,) = snapshot(p=provider({"id": "m", "price": "free"})).endpoints("m", CHAT)
    assert endpoint.upstream_model == "m"


def test_a_model_that_several_providers_have_has_an_endpoint_at_each_in_the_order_of_the_file() -> None:
    model = {"id": "m", "price": PRICED}
    found = snapshot(z=provider(model), a=provider(model), k=provider({"id": "other", "price": "free"}))
    assert [endpoint.provider for endpoint in found.endpoints("m", CHAT)] == ["z", "a"]


def test_an_alias_leads_to_the_endpoints_of_its_model() -> None:
    found = snapshot(p=provider({"id": "m", "aliases": ["fast", "m-latest"], "price": PRICED}))
    assert found.endpoints("fast", CHAT) == found.endpoints("m-latest", CHAT) == found.endpoints("m", CHAT)
    assert found.knows("fast")


def test_what_nobody_has_has_no_endpoint() -> None:
    found = snapshot(p=provider({"id": "m", "price": PRICED}))
    assert found.endpoints("x", CHAT) == ()
    assert found.endpoints("m", "openai.images") == ()
    assert not found.knows("x")
    assert not found.unpriced("x", TEXT)


@pytest.mark.parametrize("price", [None, {"input_text_tokens": "1"}, {"requests": "0.01"}])
def test_a_model_without_a_price_it_needs_is_set_aside(price: Any) -> None:
    found = snapshot(p=provider({"id": "m", "aliases": ["a"], "price": price}))
    assert found.endpoints("m", CHAT) == ()
    assert found.unpriced("m", TEXT)
    assert found.unpriced("a", TEXT)
    assert found.knows("m")
    assert found.models == ()
    assert found.warnings == ("plugins.p: model m has no price; calling it is a 402",)


def test_unpriced_allow_serves_it_all_the_same() -> None:
    found = snapshot(p=provider({"id": "m"}, unpriced="allow"))
    (endpoint,) = found.endpoints("m", CHAT)
    assert charge({"input_text_tokens": 5}, endpoint.card).unpriced == ("input_text_tokens",)
    assert not found.unpriced("m", TEXT)


def test_unpriced_is_allowed_or_refused_model_by_model() -> None:
    models = {"id": "m", "unpriced": "allow"}, {"id": "n"}, {"id": "o", "unpriced": "refuse"}
    found = snapshot(p=provider(*models))
    assert [found.unpriced(one["id"], TEXT) for one in models] == [False, True, True]
    found = snapshot(p=provider(*models, unpriced="allow"))
    assert [found.unpriced(one["id"], TEXT) for one in models] == [False, False, True]


def test_a_model_unpriced_at_one_provider_is_served_by_the_other() -> None:
    found = snapshot(a=provider({"id": "m"}), b=provider({"id": "m", "price": PRICED}))
    assert [endpoint.provider for endpoint in found.endpoints("m", CHAT)] == ["b"]


def test_prices_are_per_million_for_tokens_and_per_unit_for_the_rest() -> None:
    price = {**PRICED, "cached_write_text_tokens_1h": "3", "requests": "0.01"}
    (endpoint,) = snapshot(p=provider({"id": "m", "price": price})).endpoints("m", CHAT)
    assert {rule.meter: (rule.usd, rule.per) for rule in endpoint.card.prices} == {
        "input_text_tokens": (Decimal(1), 1_000_000),
        "output_text_tokens": (Decimal(2), 1_000_000),
        "cached_write_text_tokens_1h": (Decimal(3), 1_000_000),
        "requests": (Decimal("0.01"), 1),
    }


def test_free_is_a_card_that_charges_nothing() -> None:
    (endpoint,) = snapshot(p=provider({"id": "m", "price": "free"})).endpoints("m", CHAT)
    made = charge({"input_text_tokens": 5}, endpoint.card)
    assert (made.total, made.unpriced) == (0, ())


def card_id(price: Any) -> str:
    (endpoint,) = snapshot(p=provider({"id": "m", "price": price})).endpoints("m", CHAT)
    return endpoint.card.id


def test_the_same_prices_have_the_same_card_id_however_they_are_written() -> None:
    rules = [
        {"meter": meter, "usd": f"{usd}.00", "per": 1_000_000} for meter, usd in reversed(PRICED.items())
    ]
    assert card_id(PRICED) == card_id(dict(reversed(PRICED.items()))) == card_id(rules)
    assert card_id(PRICED).startswith("pc_")
    assert len(card_id(PRICED)) == 35


def test_other_prices_have_another_card_id() -> None:
    ids = {
        card_id(price)
        for price in (
            PRICED,
            {**PRICED, "output_text_tokens": "2.000000001"},
            {**PRICED, "requests": "0"},
            [{"meter": meter, "usd": usd} for meter, usd in PRICED.items()],
            "free",
        )
    }
    assert len(ids) == 5


SHIPPED = """
models:
  - {id: acme/a, upstream: a-1, max_output: 10, price: &one {input_text_tokens: "1", output_text_tokens: "1"}}
  - {id: acme/b, aliases: [b], price: *one}
"""
ACME = """
class Acme(Provider):
    base_url = "https://acme.example/v1/"
    speaks = {"text.generate": "openai.chat", "text.embed": "acme.embed"}
"""


def acme(install: Install, catalogue: str = SHIPPED) -> None:
    files = {"t_acme/__init__.py": "", "t_acme/provider.py": ACME, "t_acme/models.yaml": catalogue}
    install("acme", {"acme": "t_acme.provider:Acme"}, files)


def test_a_catalogue_stands_beside_the_plugins_own_module(install: Install) -> None:
    acme(install)
    found = snapshot(acme={})
    assert [row["model_id"] for row in found.models] == ["acme/a", "acme/b"]
    assert found.base_urls == {"acme": "https://acme.example/v1"}


def test_a_distribution_of_one_module_may_have_a_catalogue_too(install: Install) -> None:
    install("acme", {"acme": "t_single:Acme"}, {"t_single.py": ACME, "models.yaml": SHIPPED})
    assert [row["model_id"] for row in snapshot(acme={}).models] == ["acme/a", "acme/b"]


def test_a_second_instance_has_the_same_models(install: Install) -> None:
    acme(install)
    found = snapshot(acme={}, eu={"plugin": "acme", "base_url": "https://eu.example"})
    assert [endpoint.provider for endpoint in found.endpoints("acme/a", CHAT)] == ["acme", "eu"]
    assert found.base_urls["eu"] == "https://eu.example"


def test_the_operator_changes_a_shipped_model_field_by_field(install: Install) -> None:
    acme(install)
    found = snapshot(acme={"models": [{"id": "acme/a", "max_output": 99}, {"id": "new", "price": "free"}]})
    (endpoint,) = found.endpoints("acme/a", CHAT)
    assert (endpoint.max_output, endpoint.upstream_model) == (99, "a-1")
    assert endpoint.card == found.endpoints("acme/b", CHAT)[0].card
    assert [row["model_id"] for row in found.models] == ["acme/a", "acme/b", "new"]


def test_the_operator_leaves_shipped_models_out_by_pattern(install: Install) -> None:
    acme(install)
    found = snapshot(acme={"without": ["acme/*"], "models": [{"id": "acme/c", "price": "free"}]})
    assert [row["model_id"] for row in found.models] == ["acme/c"]
    assert not found.knows("acme/a")
    assert not found.knows("b")


def test_a_model_that_is_left_out_may_come_back_as_another(install: Install) -> None:
    acme(install)
    found = snapshot(acme={"without": ["acme/a"], "models": [{"id": "acme/a", "price": PRICED}]})
    (endpoint,) = found.endpoints("acme/a", CHAT)
    assert (endpoint.upstream_model, endpoint.max_output) == ("acme/a", None)


def test_a_pattern_that_leaves_nothing_out_is_a_mistake(install: Install) -> None:
    acme(install)
    (error,) = errors(acme={"without": ["acme/b", "acme/aa"]})
    assert error == "plugins.acme.without[1]: no model it ships is called `acme/aa` (did you mean `acme/a`?)"


def test_prices_that_begin_later_are_offered_and_prices_that_are_over_are_not() -> None:
    def rules(**dates: str) -> list[dict[str, str]]:
        return [{"meter": meter, "usd": "1", **dates} for meter in PRICED]

    found = snapshot(
        p=provider(
            {"id": "later", "price": rules(effective_from="2999-01-01")},
            {"id": "over", "price": rules(effective_to="2020-01-01")},
            {"id": "both", "price": rules(effective_to="2020-01-01") + rules(effective_from="2020-01-01")},
        )
    )
    (later,), (both,) = found.endpoints("later", CHAT), found.endpoints("both", CHAT)
    assert not found.in_force(later, 0)
    assert found.in_force(later, 32_503_680_000_000)
    assert found.unpriced("over", TEXT)
    assert {rule.until for rule in both.card.prices} == {None}


DOUBLE = """
class Double(Plugin[PluginConfig]):
    @hookimpl
    def register_models(self, provider, models, note):
        if provider.name != "acme":
            return None
        note("doubled")
        price = {"input_text_tokens": "2", "output_text_tokens": "2"}
        return [type(one).model_validate({**one.model_dump(), "price": price}) for one in models]
"""


def test_a_plugin_prices_what_is_shipped_and_the_operators_words_go_before(install: Install) -> None:
    acme(install)
    install("double", {"double": "t_double:Double"}, {"t_double.py": DOUBLE})
    own = [{"id": "acme/a", "price": PRICED}, {"id": "new", "upstream": "n"}]
    found = snapshot(double={}, acme={"models": own}, other=provider({"id": "x", "price": PRICED}))
    cards = {name: found.endpoints(name, CHAT)[0].card.prices[0].usd for name in ("acme/a", "b", "new", "x")}
    assert cards == {"acme/a": 1, "b": 2, "new": 2, "x": 1}
    assert found.warnings == ("plugins.double: doubled",)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no list today')", "register_models failed: ValueError: no list today"),
        ("return ['acme/a']", "it returned str where a ModelEntry was wanted"),
        ("return [*models, models[0].model_copy(update={'id': 'b'})]", "'b' names both acme/b and b"),
    ],
)
def test_a_plugin_that_fails_at_models_is_an_operators_message(
    install: Install, body: str, said: str
) -> None:
    acme(install)
    method = f"    @hookimpl\n    def register_models(self, models):\n        {body}\n"
    text = "class P(Plugin[PluginConfig]):\n" + method
    install("p", {"p": "t_p:P"}, {"t_p.py": text})
    (error,) = errors(p={}, acme={})
    assert said in error


def test_other_plans_stand_beside_a_price_and_go_with_it(install: Install) -> None:
    plans = {"flex": {"input_text_tokens": "0.5"}}
    acme(install, SHIPPED.replace("price: *one", "price: *one, plans: {flex: {input_text_tokens: '0.25'}}"))
    found = snapshot(acme={"models": [{"id": "acme/a", "plans": plans}]})
    by_plan = {rule.plan: rule.usd for rule in found.endpoints("acme/a", CHAT)[0].card.prices}
    assert by_plan == {"standard": 1, "flex": Decimal("0.5")}
    assert len(found.endpoints("b", CHAT)[0].card.prices) == 3
    whole = snapshot(acme={"models": [{"id": "acme/b", "price": PRICED}]})
    assert {rule.plan for rule in whole.endpoints("b", CHAT)[0].card.prices} == {"standard"}


def test_the_operator_may_take_a_shipped_price_away(install: Install) -> None:
    acme(install)
    assert snapshot(acme={"models": [{"id": "acme/a", "price": None}]}).unpriced("acme/a", TEXT)


def test_a_mistake_in_a_shipped_catalogue_names_its_line(install: Install) -> None:
    acme(install, "models:\n  - id: acme/a\n    pirce: free\n")
    (error,) = errors(acme={})
    assert error.startswith("t_acme/models.yaml:3: models[0].pirce: unknown option (did you mean `price`?)")


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([{"id": "m"}, {"id": "m"}], "plugins.p.models: 'm' names both m and m"),
        ([{"id": "m"}, {"id": "n", "aliases": ["m"]}], "plugins.p.models: 'm' names both m and n"),
        (
            [{"id": "m", "price": {"input_txt_tokens": "1"}}],
            "no enabled operation has the meter `input_txt_tokens` (did",
        ),
        (
            [{"id": "m", "operations": ["image.generate"]}],
            "p does not speak image.generate; it speaks text.generate",
        ),
        ([{"id": "m", "price": {"requests": 0.1}}], "write the price in quotes"),
        ([{"upstream": "m"}], "plugins.p.models[0].id: missing; set it"),
    ],
)
def test_a_mistake_in_the_operators_models_is_refused(models: list[dict[str, Any]], said: str) -> None:
    (error,) = errors(p=provider(*models))
    assert said in error


def test_an_alias_may_not_be_another_shipped_models_name(install: Install) -> None:
    acme(install)
    assert errors(acme={"models": [{"id": "new", "aliases": ["b"]}]}) == (
        "plugins.acme.models: 'b' names both acme/b and new",
    )


def test_a_card_may_stand_for_a_needed_meter_by_roll_up() -> None:
    cached = {**PRICED, "cached_read_text_tokens": "0.1"}
    (endpoint,) = snapshot(p=provider({"id": "m", "price": cached})).endpoints("m", CHAT)
    assert endpoint.card.rule("output_reasoning_tokens") is not None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("example.com/v1", "write it as http://host/path or https://host/path"),
        ("ftp://h/v1", "write it as http://host/path or https://host/path"),
        ("http://", "write it as http://host/path or https://host/path"),
        ("http://h:x/", "not a URL: "),
    ],
)
def test_a_base_url_that_is_none_is_refused(url: str, said: str) -> None:
    (error,) = errors(p=provider(base_url=url))
    assert error.startswith("plugins.p.base_url: ")
    assert said in error


def test_a_provider_that_declares_no_base_url_asks_for_one(install: Install) -> None:
    install("acme", {"acme": "t_bare:Bare"}, {"t_bare.py": "class Bare(Provider): pass\n"})
    (error,) = errors(acme={})
    assert error == "plugins.acme: missing; set base_url to what the provider's own SDK is given"


def test_speaks_names_protocols_and_an_unknown_one_is_refused() -> None:
    (error,) = errors(p=provider(speaks=["openai.chat", "openai.chta"]))
    assert error.startswith(
        "plugins.p.speaks[1]: no enabled plugin brings the protocol `openai.chta` (did you mean"
    )


def test_a_provider_without_any_enabled_protocol_is_a_warning() -> None:
    found = build({"plugins": {"text": {}, "p": provider({"id": "m", "price": "free"})}})
    assert found.warnings == ("plugins.p: nothing it speaks is enabled; its models are not offered",)
    assert found.routes == {}


def test_routes_are_below_v1_and_by_method() -> None:
    found = snapshot()
    assert found.routes["POST", "/v1/chat/completions"].name == "chat.completions"
    assert TEXT in found.operations
    assert "openai.chat" in found.protocols


def test_two_plugins_with_one_protocol_are_refused_by_name() -> None:
    found = errors(again={"plugin": "openai_chat"})
    assert (
        found[0]
        == "plugins.again: protocol openai.chat is already there, from openai_chat; remove one of the two"
    )


def test_two_plugins_with_one_operation_are_refused_by_name() -> None:
    found = errors(again={"plugin": "text"})
    assert (
        "plugins.again: operation text.generate is already there, from text; remove one of the two" in found
    )


def test_an_embedded_upstream_is_made_once_for_a_snapshot() -> None:
    found = snapshot(simulator={}, p=provider())
    assert list(found.transports) == ["simulator"]
    assert found.endpoints("sim/chat", CHAT)[0].simulated
    assert found.trial_model == "sim/chat"


def test_without_simulated_models_there_is_none_to_try() -> None:
    assert snapshot(p=provider({"id": "m", "price": "free"})).trial_model is None


def test_a_plugin_may_bring_providers_of_its_own(install: Install) -> None:
    source = ACME + (
        "class Many(Plugin):\n    @hookimpl\n    def register_providers(self):\n"
        "        return [Acme(name, ProviderConfig()) for name in ('one', 'two')]\n"
    )
    install("acme", {"many": "t_many:Many"}, {"t_many.py": source})
    assert list(snapshot(many={}).providers) == ["one", "two"]


def test_a_model_row_joins_what_its_providers_say() -> None:
    about = {"name": "M", "aliases": ["x"], "params": ["tools"], "release_date": "2026-01-02"}
    more = {"name": "other", "aliases": ["y"], "input_types": ["text", "image"]}
    model = {"id": "org/m", "price": PRICED}
    found = snapshot(a=provider({**model, **about}), b=provider({**model, **more}))
    (row,) = found.models
    assert row == {
        "model_id": "org/m",
        "name": "M",
        "release_date": "2026-01-02",
        "status": "Available",
        "organisation_id": "org",
        "organisation_name": "org",
        "organisation_colour": None,
        "aliases": ["x", "y"],
        "endpoints": [TEXT],
        "input_types": ["text", "image"],
        "output_types": ["text"],
        "providers": [{"api_provider_id": "a", "params": ["tools"]}, {"api_provider_id": "b", "params": []}],
    }


@pytest.mark.parametrize(("block", "prefix"), [({}, "aistats_v1"), ({"prefix": "acme"}, "acme")])
def test_the_prefix_of_keys_is_the_one_of_the_plugin_that_checks_them(
    block: dict[str, str], prefix: str
) -> None:
    assert snapshot(api_keys=block).key_prefix == prefix


def test_without_such_a_plugin_the_prefix_is_the_usual_one() -> None:
    assert snapshot().key_prefix == "aistats_v1"


def test_a_snapshot_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        snapshot().models = ()  # type: ignore[misc]


def test_two_builds_share_nothing_that_a_plugin_could_change() -> None:
    config = {"plugins": {"openai_chat": {}, "text": {}, "simulator": {}}}
    old, new = build(config), build(config)
    assert old.providers["simulator"] is not new.providers["simulator"]
    assert old.protocols["openai.chat"] is not new.protocols["openai.chat"]
    assert old.models == new.models
