"""A validator's findings in an operator's words: what is wrong, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway_core.config.problems import Path

_MISSING = "missing; set it"


def explained(found: ErrorDetails, model: type[BaseModel], walked: Path) -> str:
    """One finding as a sentence; never the value itself, which may be a secret."""
    if found["type"] == "missing":
        return _MISSING
    if found["type"] == "extra_forbidden":
        inside = _model_at(model, walked[:-1])
        known = sorted(inside.model_fields) if inside is not None else []
        shown = f"; there is {', '.join(known)}" if known else "; there are no options here"
        return f"unknown option{nearest(str(walked[-1]) if walked else '', known)}{shown}"
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
