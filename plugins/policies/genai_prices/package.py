"""The installed package: opened when it is needed, asked for providers and models."""

from difflib import get_close_matches
from typing import Any


def opened(provider: str) -> Any:
    """A provider of the package; ValueError says what to do where there is none, or no package."""
    try:
        from genai_prices.data import providers
    except ImportError as error:
        what = "the package genai-prices is not installed: pip install 'ai-stats-gateway[prices]'"
        raise ValueError(what) from error
    by_id = {one.id: one for one in providers}
    if provider in by_id:
        return by_id[provider]
    near = get_close_matches(provider, by_id, 1)
    meant = f" (did you mean `{near[0]}`?)" if near else ""
    raise ValueError(f"genai-prices has no provider `{provider}`{meant}; it has {', '.join(sorted(by_id))}")


def find(provider: Any, upstream: str) -> Any | None:
    """Its model that answers to an upstream id; None where it has none."""
    return provider.find_model(upstream)
