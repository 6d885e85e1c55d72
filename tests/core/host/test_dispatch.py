"""Hooks: called in the order of the file, with the arguments they name, combined as their kind says."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway_core.config.problems import ConfigError
from gateway_core.host.dispatch import adapted, chain, first
from gateway_core.host.snapshot import Snapshot, build
from tests.core.conftest import Install


def answering(answer: Any, calls: list[Any]) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any) -> Any:
        calls.append(arguments)
        return answer

    return call


async def failing(*_: Any) -> Any:
    raise LookupError("no")


async def test_first_stops_at_the_first_answer_that_is_not_none() -> None:
    calls: list[Any] = []
    assert await first([answering(None, calls), answering(0, calls), answering("late", calls)], "x") == 0
    assert calls == [("x",), ("x",)]


async def test_first_of_nobody_is_none() -> None:
    assert await first([], "x") is None


async def test_chain_threads_one_argument_and_none_leaves_it() -> None:
    calls: list[Any] = []
    assert (
        await chain([answering("b", calls), answering(None, calls), answering("c", calls)], 1, "x", "a", "y")
        == "c"
    )
    assert calls == [("x", "a", "y"), ("x", "b", "y"), ("x", "b", "y")]


async def test_chain_of_nobody_is_what_went_in() -> None:
    assert await chain([], 0, "a") == "a"


GIVEN = ("ctx", "attempt", "usage", "charge")


async def _everything(ctx: Any, attempt: Any, usage: Any, charge: Any) -> Any:
    return ctx, attempt, usage, charge


async def _other_order(charge: Any, ctx: Any) -> Any:
    return charge, ctx


async def _one(usage: Any) -> Any:
    return usage


async def _nothing() -> Any:
    return "nothing"


@pytest.mark.parametrize(
    ("function", "takes", "answer"),
    [
        (_everything, GIVEN, (1, 2, 3, 4)),
        (_other_order, ("charge", "ctx"), (4, 1)),
        (_one, ("usage",), 3),
        (_nothing, (), "nothing"),
    ],
)
async def test_an_implementation_gets_the_arguments_it_names(
    function: Callable[..., Any], takes: tuple[str, ...], answer: Any
) -> None:
    assert await adapted(function, takes, GIVEN)(1, 2, 3, 4) == answer


def test_one_that_takes_everything_costs_no_call_more() -> None:
    assert adapted(_everything, GIVEN, GIVEN) is _everything


ROUTERS = """
class Mark(Plugin):
    @hookimpl
    async def route(self, candidates): return (*candidates, self.name)

class MarkFirst(Plugin):
    @hookimpl(tryfirst=True)
    async def route(self, candidates): return (*candidates, self.name)
"""


def routers(install: Install, *names: str) -> Snapshot:
    install("dist-a", {"mark": "t_mark:Mark", "mark_first": "t_mark:MarkFirst"}, {"t_mark.py": ROUTERS})
    return build(
        {"plugins": {name: {"plugin": "mark_first" if name == "eager" else "mark"} for name in names}}
    )


async def test_the_order_of_the_file_is_the_order_of_the_calls(install: Install) -> None:
    snapshot = routers(install, "b", "a", "c")
    assert await chain(snapshot.hooks.route, 1, None, ()) == ("b", "a", "c")


async def test_tryfirst_wins_over_the_order_of_the_file(install: Install) -> None:
    snapshot = routers(install, "b", "eager", "c")
    assert await chain(snapshot.hooks.route, 1, None, ()) == ("eager", "b", "c")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("@hookimpl\n    def route(self, candidates): return None", "route: must be `async def`"),
        (
            "@hookimpl(wrapper=True)\n    def route(self, candidates): return (yield)",
            "route: a hook cannot be a wrapper",
        ),
        ("@hookimpl\n    async def route(self, candidate): return None", "candidate"),
        (
            "@hookimpl\n    async def rout(self): return None",
            "there is no hook called rout (did you mean `route`?)",
        ),
        (
            "@hookimpl\n    async def register_routes(self): return []",
            "a registration hook is a plain function",
        ),
        (
            "@hookimpl\n    def register_routes(self): raise OSError('x')",
            "register_routes failed: OSError: x",
        ),
        (
            "@hookimpl\n    def register_routes(self): return [3]",
            "register_routes returned int where a PlatformRoute was",
        ),
        ("@hookimpl\n    def register_routes(self): return 3", "register_routes failed: TypeError"),
        ("def __init__(self, name, config): raise OSError('x')", "cannot be made: OSError: x"),
    ],
)
def test_a_hook_that_would_misbehave_is_refused_when_it_is_loaded(
    install: Install, body: str, said: str
) -> None:
    install("dist-a", {"bad": "t_bad:P"}, {"t_bad.py": f"class P(Plugin):\n    {body}\n"})
    with pytest.raises(ConfigError) as caught:
        build({"plugins": {"bad": {}}})
    (error,) = caught.value.errors
    assert error.startswith("plugins.bad: ")
    assert said in error


def test_a_refused_plugin_does_not_hide_the_errors_of_another(install: Install) -> None:
    source = "class P(Plugin):\n    @hookimpl\n    def route(self): return None\n"
    install("dist-a", {"bad": "t_bad:P"}, {"t_bad.py": source})
    with pytest.raises(ConfigError) as caught:
        build({"plugins": {"bad": {}, "bad2": {"plugin": "bad"}, "gone": {}, "text": {"x": 1}}})
    assert [error.split(":")[0] for error in caught.value.errors] == [
        "plugins.gone", "plugins.text.x", "plugins.bad2", "plugins.bad",
    ]  # fmt: skip
