"""The hooks page gives every hook as it is declared, and every hook is exercised somewhere."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from plugin_sdk import hookspecs
from tests.contract.repository import ROOT, page, python_files

SPECS: dict[str, Callable[..., Any]] = {
    name: value
    for name, value in vars(hookspecs).items()
    if inspect.isfunction(value) and value.__module__ == hookspecs.__name__
}


def signature(name: str) -> str:
    """The hook as its source declares it, on one line: `async route(ctx: RequestContext, ...) -> ...`."""
    source = inspect.getsource(SPECS[name])
    found = re.search(r"^(async )?def (.*?):\n", source, re.MULTILINE | re.DOTALL)
    assert found is not None
    text = re.sub(r"\s+", " ", found[2]).replace("( ", "(").replace(", )", ")").replace(" )", ")")
    return (found[1] or "") + text


def headings(text: str) -> list[str]:
    return [line.lstrip("# ").strip("`") for line in text.splitlines() if line.startswith("###")]


def test_every_hook_is_a_heading_of_the_hooks_page_with_its_exact_signature() -> None:
    assert headings(page("extend/hooks.md")) == [signature(name) for name in SPECS]


def test_the_hooks_page_says_of_every_hook_what_its_docstring_says() -> None:
    text = re.sub(r"\s+", " ", page("extend/hooks.md"))
    for name, spec in SPECS.items():
        first_line = (inspect.getdoc(spec) or "").splitlines()[0]
        assert first_line in text, f"{name}: {first_line}"


def test_every_hook_has_a_test() -> None:
    tests = "\n".join(
        path.read_text() for path in python_files("tests") if path.relative_to(ROOT).parts[1] != "contract"
    )
    assert [name for name in SPECS if not re.search(rf"\b{name}\b", tests)] == []


def test_a_registration_hook_is_plain_and_every_other_hook_is_async() -> None:
    for name, spec in SPECS.items():
        assert inspect.iscoroutinefunction(spec) != name.startswith("register_"), name
