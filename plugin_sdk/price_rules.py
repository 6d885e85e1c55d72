"""Price rules: which of a card's rules takes a meter, for this plan, these parameters, at this time.

The order of choice is the contract's (section 5.2) with the differences of money.md: a plan that a card
lacks falls back to `standard`, then to the card's only plan, else to the dearest; a hole between conditions
takes the dearest rule, and says so.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

STANDARD: Final = "standard"
# What requests and answers call the plan that everybody gets.
_STANDARD_TOO: Final = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})
Op = Literal[
    "eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "exists", "not_exists", "starts_with", "regex"
]
_LONGEST: Final = 200  # characters of a parameter that is kept
_MANY: Final = (Mapping, list, tuple)
DAY: Final = 24 * 60  # minutes
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH: Final = DAYS.index("thu")  # the day on which time begins


class Condition(msgspec.Struct, frozen=True):
    """`path` is dotted, looked up in the request's parameters, then in the usage.

    Conditions without an `or_group` must all hold; of those with one, all of at least one group.
    """

    path: str
    op: Op
    value: Any = None
    or_group: int | None = None


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another price for a part of the day; `start` and `end` in minutes of the day, UTC.

    `days` counts from Monday, 0; none means every day. A window over midnight is of the day it starts on.
    """

    start: int
    end: int
    usd: Decimal
    days: tuple[int, ...] = ()

    def holds(self, at: int) -> bool:
        """Whether a time is in it."""
        day, minute = divmod(at // 60_000, DAY)
        if self.start >= self.end and minute < self.end:
            day -= 1
        elif not self.start <= minute < (self.end if self.start < self.end else DAY):
            return False
        return not self.days or (day + _EPOCH) % 7 in self.days


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """USD for `per` units of one meter: Price(meter="requests", usd=Decimal("0.15"), per=1_000).

    plan        what the customer asked for: standard, batch, flex, priority ...
    priority    of several rules that match, the highest takes it
    since, until  ms since 1970, the end excluded
    included    that many units of each request are free
    """

    meter: str
    usd: Decimal
    per: int = 1
    plan: str = STANDARD
    priority: int = 100
    conditions: tuple[Condition, ...] = ()
    since: int | None = None
    until: int | None = None
    windows: tuple[Window, ...] = ()
    included: int = 0

    @property
    def plain(self) -> bool:
        """Whether it is all there is to say: it holds always, for everybody."""
        return (
            self.plan == STANDARD
            and self.since is None
            and self.until is None
            and not (self.conditions or self.windows or self.included)
        )


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a charge depends on beside the usage: the plan, the request's parameters, the time in ms."""

    plan: str = STANDARD
    values: Mapping[str, Any] = {}
    at: int = 0


PLAIN: Final = Terms()


def plan_of(word: str | None) -> str:
    """The plan of a `service_tier`, a request's or an answer's."""
    return STANDARD if word is None or word.lower() in _STANDARD_TOO else word.lower()


def chosen(rules: Sequence[Price], terms: Terms, usage: Mapping[str, Any]) -> tuple[Price, bool] | None:
    """(the rule of one meter that takes it, whether it fell through a hole); None: none is in force."""
    left = in_force(rules, terms.at)
    if not left:
        return None
    planned = of_plan(left, terms.plan)
    best: tuple[Any, Price] | None = None
    for rule in planned:
        rank = _rank(rule, terms, usage)
        if rank is not None and (best is None or rank > best[0]):
            best = rank, rule
    if best is not None:
        return best[1], False
    return max(planned, key=dearness), True


def in_force(rules: Sequence[Price], at: int) -> Sequence[Price]:
    """The rules that hold at a time, ms since 1970."""
    return [
        rule
        for rule in rules
        if (rule.since is None or rule.since <= at) and (rule.until is None or at < rule.until)
    ]


def of_plan(rules: Sequence[Price], plan: str) -> Sequence[Price]:
    """The rules of a plan; where there are none those of `standard`, of the only plan, else the dearest."""
    for wanted in (plan, STANDARD):
        if found := [rule for rule in rules if rule.plan == wanted]:
            return found
    if len({rule.plan for rule in rules}) == 1:
        return rules
    dearest = max(rules, key=dearness).plan
    return [rule for rule in rules if rule.plan == dearest]


def dearness(rule: Price) -> Decimal:
    """USD for one unit at the most."""
    return max([rule.usd, *(window.usd for window in rule.windows)]) / rule.per


def scaled(rule: Price, meter: str, factor: Decimal) -> Price:
    """The rule for a meter, at so many times its price."""
    windows = tuple(msgspec.structs.replace(window, usd=window.usd * factor) for window in rule.windows)
    return msgspec.structs.replace(rule, meter=meter, usd=rule.usd * factor, windows=windows)


def even(rule: Price) -> bool:
    """Whether a unit costs a whole number of nano-dollars, always: then no quantity of it is rounded."""
    for usd in (rule.usd, *(window.usd for window in rule.windows)):
        numerator, denominator = usd.as_integer_ratio()
        if numerator * 1_000_000_000 % (denominator * rule.per):
            return False
    return True


def usd_at(rule: Price, at: int) -> Decimal:
    """The price at a time: its own, or that of the window which holds it."""
    return next((window.usd for window in rule.windows if window.holds(at)), rule.usd)


def _rank(rule: Price, terms: Terms, usage: Mapping[str, Any]) -> tuple[int, ...] | None:
    """How well a rule matches, to be compared; None where it does not."""
    if not rule.conditions:
        return rule.priority, 0, 0, 0, 0, 0
    held = [_holds(condition, terms, usage) for condition in rule.conditions]
    groups: dict[int, list[bool]] = {}
    for condition, holds in zip(rule.conditions, held, strict=True):
        if condition.or_group is not None:
            groups.setdefault(condition.or_group, []).append(holds)
        elif not holds:
            return None
    full = sum(all(group) for group in groups.values())
    if groups and not full:
        return None
    partial = sum(any(group) and not all(group) for group in groups.values())
    return rule.priority, full, sum(held), len(held), -partial, 1


def _holds(condition: Condition, terms: Terms, usage: Mapping[str, Any]) -> bool:
    value = _looked_up(condition.path, terms.values, usage)
    if value is None:
        return condition.op in ("ne", "not_in", "not_exists")
    return _OPS[condition.op](value, condition.value)


def parameters(rules: Iterable[Price], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a request's parameters that the conditions of rules look up, each at its path.

    Of a text no more than its beginning, of a list or an object only that it is there.
    """
    found: dict[str, Any] = {}
    for path in sorted({condition.path for rule in rules for condition in rule.conditions}):
        value = _parameter(path, values)
        if value is None:
            continue
        *folders, name = path.split(".")
        at = found
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = value[:_LONGEST] if isinstance(value, str) else {} if isinstance(value, _MANY) else value
    return found


def _parameter(path: str, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _looked_up(path: str, values: Mapping[str, Any], usage: Mapping[str, Any]) -> Any:
    if (found := _parameter(path, values)) is not None:
        return found
    if path in ("input_tokens", "long_context_input_tokens"):
        return sum(quantity for meter, quantity in usage.items() if _is_input(meter))
    return usage.get(path)


def _is_input(meter: str) -> bool:
    """Whether a meter counts tokens of the prompt, cached ones included."""
    return "_tokens" in meter and meter.startswith(("input_", "cached_"))


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(value: Any, wanted: Any) -> bool:
        try:
            return compare(_number(value), _number(wanted))
        except (TypeError, ArithmeticError):
            return False

    return holds


def _number(value: Any) -> Any:
    """A number that was written as a string counts as one, as forms have it."""
    if isinstance(value, str):
        return Decimal(value)
    return value


def _same(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _any_of(value: Any, wanted: Any) -> bool:
    return isinstance(wanted, Iterable) and any(_same(value, one) for one in wanted)


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


_OPS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": _same,
    "ne": lambda value, wanted: not _same(value, wanted),
    "lt": _compared(operator.lt),
    "lte": _compared(operator.le),
    "gt": _compared(operator.gt),
    "gte": _compared(operator.ge),
    "in": _any_of,
    "not_in": lambda value, wanted: not _any_of(value, wanted),
    "exists": lambda _value, _wanted: True,
    "not_exists": lambda _value, _wanted: False,
    "starts_with": lambda value, wanted: str(value).startswith(str(wanted)),
    "regex": lambda value, wanted: _pattern(str(wanted)).search(str(value)) is not None,
}
