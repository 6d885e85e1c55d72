"""Fixtures: the scripted upstream, databases, and gateways that run for a session, a module or a test."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.database import Template, postgres_answers
from tests.gateway.process import Gateway, running
from tests.gateway.upstream import Upstream

SHARED = Path(__file__).resolve().parents[3] / "shared"
PRICE = {
    "input_text_tokens": "2.50",
    "cached_read_text_tokens": "0.25",
    "output_text_tokens": "15.00",
    "output_reasoning_tokens": "15.00",
}
Start = Callable[..., Gateway]


def provider(base_url: str, *models: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The block of an OpenAI-compatible provider; a model without a price gets the suite's own."""
    entries = [{"price": PRICE, **model} for model in models]
    return {"plugin": "openai_compatible", "base_url": base_url, "api_key": "none", "models": entries, **more}


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The scripted upstream."""
    with Upstream() as found:
        yield found


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Template]]:
    """Gives the seeded database of a kind, made at its first use."""
    made: dict[str, Template] = {}

    def of(kind: str) -> Template:
        if kind not in made:
            if kind == "postgres" and not postgres_answers():
                pytest.skip("no PostgreSQL answers on 127.0.0.1:5432 (or GATEWAY_TEST_POSTGRES)")
            made[kind] = Template(kind, tmp_path_factory.mktemp(f"seed-{kind}"))
        return made[kind]

    yield of
    for one in made.values():
        one.drop()


@pytest.fixture(scope="session")
def starter(
    template: Callable[[str], Template], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[ExitStack], Start]:
    """Gives a function that starts gateways which live as long as an exit stack."""

    def bound(stack: ExitStack) -> Start:
        def start(
            plugins: Mapping[str, Any],
            *,
            database: str = "sqlite",
            workers: int = 1,
            gateway: Mapping[str, Any] | None = None,
            arguments: Sequence[str] = (),
        ) -> Gateway:
            folder = tmp_path_factory.mktemp("gateway")
            copy = template(database).copy(folder)
            one = running(folder, copy, plugins, gateway=gateway, workers=workers, arguments=arguments)
            return stack.enter_context(one)

        return start

    return bound


@pytest.fixture
def start(starter: Callable[[ExitStack], Start]) -> Iterator[Start]:
    """Starts gateways that stop with the test."""
    with ExitStack() as stack:
        yield starter(stack)


@pytest.fixture(scope="session")
def gateway(starter: Callable[[ExitStack], Start], upstream: Upstream) -> Iterator[Gateway]:
    """The gateway that most tests share: `test/chat` is answered by the script that a request names."""
    plugins = {
        "scripted": provider(upstream.base_url("scripted"), {"id": "test/chat", "upstream": "chat-1"}),
        "unpriced": provider(upstream.base_url("scripted"), {"id": "test/unpriced", "price": None}),
    }
    with ExitStack() as stack:
        yield starter(stack)(plugins)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the gateways of a failed test wrote."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed and isinstance(item, pytest.Function):
        for name, value in item.funcargs.items():
            if isinstance(value, Gateway):
                report.sections.append((f"log of {name}", value.log_text()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings and acceptance scripts; a test that needs it is skipped without it."""
    found = Path(os.environ.get("GATEWAY_SHARED", SHARED))
    if not (found / "traffic" / "traffic.py").exists():
        pytest.skip(f"no recorded traffic beside the repository ({found})")
    return found
