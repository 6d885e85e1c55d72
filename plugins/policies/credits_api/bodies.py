"""What the credit API is sent: bodies, amounts, pages and references, checked before anything is done."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plugin_sdk.errors import InvalidJson, InvalidRequest
from plugin_sdk.money import NANOS_PER_USD
from plugin_sdk.routes import PlatformRequest

MOST: Final = 1_000_000_000 * NANOS_PER_USD
_LONGEST: Final = 200
B = TypeVar("B", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    reason: str
    reference: str | None = None
    usd: str | None = Field(default=None, pattern=r"^-?[0-9]{1,10}(\.[0-9]{1,9})?$")
    nanos: int | None = Field(default=None, ge=-MOST, le=MOST)

    @model_validator(mode="after")
    def _one_amount(self) -> "_Body":
        if self.usd is not None and self.nanos is not None:
            raise ValueError("give `usd`, as a text, or `nanos`, as a whole number, not both")
        return self

    @property
    def part(self) -> int | None:
        """The amount in nanos, if one is given."""
        return self.nanos if self.usd is None else int(Decimal(self.usd) * NANOS_PER_USD)


class Adjustment(_Body):
    """Whose wallet, how much, why."""

    team_id: str = Field(min_length=1, max_length=_LONGEST)
    kind: Literal["live", "test"] = "live"

    @model_validator(mode="after")
    def _amount_given(self) -> "Adjustment":
        if not self.part:
            raise ValueError("give an amount that is not 0: `usd`, as a text, or `nanos`")
        return self

    @property
    def amount(self) -> int:
        """The amount in nanos."""
        return self.part or 0


class TopUp(Adjustment):
    """The same; a reason may be left out."""

    reason: str = "top-up"


class Refund(_Body):
    """Whose charge is given back; without an amount, the whole of what is left."""

    generation: str = Field(min_length=1, max_length=_LONGEST)


def read(model: type[B], body: bytes) -> B:
    """The body as a model; InvalidJson or InvalidRequest says what is wrong with it."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        if problems[0]["type"] == "json_invalid":
            raise InvalidJson("The body is not JSON.") from error
        details = [
            {"message": one["msg"], "path": list(one["loc"]), "keyword": one["type"], "params": {}}
            for one in problems
        ]
        where = ".".join(str(part) for part in problems[0]["loc"])[:_LONGEST]
        message = problems[0]["msg"].removeprefix("Value error, ")
        raise InvalidRequest(
            f"{message} at `{where}`." if where else f"{message}.",
            param=where or None,
            details=details,
        ) from error


def reference(request: PlatformRequest, said: str | None) -> str | None:
    """What the client calls this booking: `reference` of the body, else the `idempotency-key` header."""
    header = request.headers.get("idempotency-key")
    if said is not None and header is not None and said != header:
        raise InvalidRequest("`reference` and Idempotency-Key say different things.", param="reference")
    return header if said is None else said


def kind(request: PlatformRequest) -> str:
    """Which of the team's wallets: a test key's simulated credit, else the live one unless `kind` says."""
    own = "test" if request.principal is not None and request.principal.mode == "test" else "live"
    said = (request.query.get("kind") or [own])[0]
    if said not in ("live", "test"):
        raise InvalidRequest("`kind` is `live` or `test`.", param="kind")
    return said


def number(query: Mapping[str, list[str]], name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query, in its bounds."""
    said = (query.get(name) or [str(default)])[0]
    if not said.isascii() or not said.isdecimal() or len(said) > 19 or not least <= int(said) <= most:
        raise InvalidRequest(f"`{name}` is a whole number from {least} to {most}.", param=name)
    return int(said)
