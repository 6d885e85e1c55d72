"""Prices from the `genai-prices` package: they change when it is updated, not when somebody types.

Nothing is fetched: what the installed release says is what counts.
"""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final

import click
import yaml
from pydantic import Field, ValidationError

from plugin_sdk.catalogue import ModelEntry, PriceRule
from plugin_sdk.hooks import hookimpl
from plugin_sdk.money import PriceCard
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.provider import Provider
from plugins.policies.genai_prices.cards import Card, card
from plugins.policies.genai_prices.package import find, opened
from plugins.policies.genai_prices.units import NEEDED, units

# Providers as they are called here, and in the package.
KNOWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            name: name
            for name in (
                "anthropic", "azure", "cerebras", "cohere", "deepseek", "fireworks", "google", "groq",
                "mistral", "openai", "openrouter", "perplexity", "together",
            )
        },
        "bedrock": "aws",
        "vertex": "google",
        "xai": "x-ai",
    }
)  # fmt: skip


class GenaiPricesConfig(PluginConfig):
    """Which providers, by their names in the file, and which of their models."""

    providers: dict[str, str] = Field(
        default_factory=dict,
        description="a provider's name in the file: its id in the package; those we ship are known",
    )
    models: tuple[str, ...] = Field(
        default=("*",), description="models that get the package's prices, each a pattern as `openai/*`"
    )


class GenaiPrices(Plugin[GenaiPricesConfig]):
    """A model that the package knows by its upstream id gets the package's price card, whole.

    What an operator's own entry says of a price goes before; a model that the package does not know keeps
    the price that it has.
    """

    Config = GenaiPricesConfig

    @hookimpl
    def register_models(
        self, provider: Provider[Any], models: Sequence[ModelEntry], note: Callable[[str], None]
    ) -> Sequence[ModelEntry] | None:
        """The models with the package's prices; what those cannot say here is noted."""
        known = self.config.providers.get(provider.name) or KNOWN.get(provider.name)
        if known is None or not any(map(self._wanted, models)):
            return None
        theirs, measures = opened(known), units()
        left_out: dict[str, list[str]] = {}
        priced = []
        for entry in models:
            found = find(theirs, entry.upstream or entry.id) if self._wanted(entry) else None
            made = None if found is None else card(found, measures, {*entry.input_types, *entry.output_types})
            for part in () if made is None else made.left_out:
                left_out.setdefault(part, []).append(entry.id)
            priced.append(entry if made is None else _with(entry, made))
        for part, ids in left_out.items():
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            note(f"{provider.name}: there is no way to price {part} here ({ids[0]}{more})")
        return priced

    @hookimpl
    def register_commands(self, cli: Any) -> None:
        """`gateway genai-prices PROVIDER`."""
        cli.add_command(_command(self.config))

    def _wanted(self, entry: ModelEntry) -> bool:
        return any(fnmatchcase(entry.id, pattern) for pattern in self.config.models)


def _with(entry: ModelEntry, made: Card) -> ModelEntry:
    """The entry at these prices; as it is where they are none by which text could be charged.

    Its own rules stay for plans that the package does not have, and for meters that its prices do not take.
    """
    if not _prices_text(made):
        return entry
    rules = [PriceRule.model_validate(rule) for rule in made.rules]
    plans = {rule.plan for rule in rules}
    theirs = PriceCard(id="", prices=tuple(rule.price for rule in rules))
    kept = [rule for rule in entry.rules if rule.plan not in plans or not theirs.takes(rule.meter)]
    return entry.model_copy(update={"price": (*rules, *kept), "plans": {}})


def _prices_text(made: Card) -> bool:
    return set(NEEDED) <= {rule["meter"] for rule in made.rules}


def _command(config: GenaiPricesConfig) -> click.Command:
    @click.command("genai-prices")
    @click.argument("provider")
    @click.option("--model", default="*", help="Only models of the package whose id fits this pattern.")
    def genai_prices(provider: str, model: str) -> None:
        """Print the models and prices of the installed genai-prices as YAML, for a provider's block.

        PROVIDER is a provider's name in the file, or its id in the package. Parts of a price that the
        gateway cannot express are comments.
        """
        known = config.providers.get(provider) or KNOWN.get(provider, provider)
        try:
            theirs = opened(known)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        click.echo(written(provider, [one for one in theirs.models if fnmatchcase(one.id, model)]))

    return genai_prices


def written(provider: str, models: Sequence[Any]) -> str:
    """Models of the package as a provider's block of gateway.yaml."""
    measures = units()
    lines = ["plugins:", f"  {provider}:", "    models:"]
    for model in models:
        made = card(model, measures)
        name = f"{provider}/{model.id}"
        if not _prices_text(made):
            lines.append(f"      # {name}: not a text model, or no price per token")
            continue
        entry: dict[str, Any] = {"id": name, "upstream": model.id}
        entry |= {} if model.name is None else {"name": model.name}
        entry |= {} if model.context_window is None else {"context": model.context_window}
        entry["price"] = list(made.rules)
        try:
            ModelEntry.model_validate(entry)
        except ValidationError as error:
            lines.append(f"      # {name}: {error.errors()[0]['msg']}")
            continue
        text = yaml.safe_dump(
            [entry], sort_keys=False, default_flow_style=None, width=200, allow_unicode=True
        )
        lines += [f"      {line}" for line in text.splitlines()]
        lines += [f"        # no way to price {part}" for part in made.left_out]
    return "\n".join(lines)
