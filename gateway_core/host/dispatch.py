"""Await pluggy hooks in their order. The only module that knows pluggy is synchronous.

The implementations are resolved once, when a snapshot is built, to tuples of functions that take all
arguments of their hook; a call through pluggy would cost several times as much per request.
"""

from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from operator import itemgetter
from typing import Any

import msgspec
from pluggy import HookCaller, HookImpl, PluginManager

HookCall = Callable[..., Awaitable[Any]]  # takes every argument of the hookspec, in the hookspec's order

REGISTRATION = (
    "register_modalities",
    "register_protocols",
    "register_providers",
    "register_models",
    "register_routes",
    "register_commands",
)


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """Every awaited hook, as the functions to call in their order."""

    startup: tuple[HookCall, ...] = ()
    shutdown: tuple[HookCall, ...] = ()
    authenticate: tuple[HookCall, ...] = ()
    bound: tuple[HookCall, ...] = ()
    check_credit: tuple[HookCall, ...] = ()
    route: tuple[HookCall, ...] = ()
    transform: tuple[HookCall, ...] = ()
    price: tuple[HookCall, ...] = ()
    record: tuple[HookCall, ...] = ()


async def first(calls: Sequence[HookCall], *arguments: Any) -> Any | None:
    """The first answer that is not None; later implementations are not called."""
    for call in calls:
        if (answer := await call(*arguments)) is not None:
            return answer
    return None


async def chain(calls: Sequence[HookCall], index: int, *arguments: Any) -> Any:
    """Thread the argument at `index` from one implementation to the next; None leaves it as it is."""
    if not calls:
        return arguments[index]
    through = list(arguments)
    for call in calls:
        if (answer := await call(*through)) is not None:
            through[index] = answer
    return through[index]


def resolve(manager: PluginManager) -> Hooks:
    """The awaited hooks of everything registered, in pluggy's order."""
    return Hooks(**{name: _calls(getattr(manager.hook, name)) for name in Hooks.__struct_fields__})


def check_kind(impl: HookImpl, hook: str) -> None:
    """Refuse, when it is loaded, what would misbehave when it is called."""
    if impl.wrapper or impl.hookwrapper:
        raise TypeError(
            f"{hook}: a hook cannot be a wrapper; the core would leave it before it awaits anything"
        )
    if hook in REGISTRATION:
        if iscoroutinefunction(impl.function):
            raise TypeError(f"{hook}: a registration hook is a plain function; write `def`, not `async def`")
    elif not iscoroutinefunction(impl.function):
        raise TypeError(f"{hook}: must be `async def`")


def _calls(caller: HookCaller) -> tuple[HookCall, ...]:
    wanted = tuple(caller.spec.argnames) if caller.spec is not None else ()
    return tuple(adapted(impl.function, impl.argnames, wanted) for impl in reversed(caller.get_hookimpls()))


def adapted(function: Callable[..., Any], takes: Sequence[str], given: Sequence[str]) -> HookCall:
    """A function that may be called with all that is `given`, and hands on what it `takes`."""
    if tuple(takes) == tuple(given):
        return function
    at = [given.index(name) for name in takes]
    if not at:
        return lambda *_: function()
    if len(at) == 1:
        (one,) = at
        return lambda *arguments: function(arguments[one])
    pick = itemgetter(*at)
    return lambda *arguments: function(*pick(arguments))
