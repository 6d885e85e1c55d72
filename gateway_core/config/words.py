"""A validator's findings in an operator's words: what is wrong, and what to do."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway_core.config.problems import Path
from gateway_core.config.tree import Tree


def explained(error: ValidationError, model: type[BaseModel], options: Tree) -> Iterator[tuple[Path, str]]:
    """(path, sentence) of each finding; never the value itself, which may be a secret."""
    certain: dict[tuple[Path, str], None] = {}
    branches: dict[Path, list[str]] = {}  # of a union, none of which fits
    for found in error.errors(include_url=False, include_input=False):
        inside = options.find(found["loc"])[1]
        what = _sentence(found, model, inside)
        if found["type"] == "missing":
            inside = (*inside, str(found["loc"][-1]))
        if len(found["loc"]) == len(inside):
            certain[inside, what] = None
        else:
            branches.setdefault(inside, []).append(what)
    yield from certain
    places = [*branches, *(inside for inside, _ in certain)]
    for inside, whats in branches.items():
        # a branch that got further in says better what is wrong
        if not any(len(other) > len(inside) and other[: len(inside)] == inside for other in places):
            yield inside, "; or ".join(dict.fromkeys(whats))


def _sentence(found: ErrorDetails, model: type[BaseModel], inside: Path) -> str:
    if found["type"] == "missing":
        return "missing; set it"
    if found["type"] == "extra_forbidden":
        block = _model_at(model, inside[:-1])
        known = sorted(block.model_fields) if block is not None else []
        shown = f"; there is {', '.join(known)}" if known else "; there are no options here"
        return f"unknown option{nearest(str(inside[-1]) if inside else '', known)}{shown}"
    text = found["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:]


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean `x`?)`, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _model_at(model: type[BaseModel] | None, path: Path) -> type[BaseModel] | None:
    """The model of a nested block, through lists and optional fields; None if it is none."""
    for step in path:
        if isinstance(step, int):
            continue
        if model is None or step not in model.model_fields:
            return None
        model = _model_in(model.model_fields[step].annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
