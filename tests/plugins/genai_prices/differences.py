"""Where our prices and the package's differ, and why; each row was looked at.

(provider, model) -> (meters, or * for all; the cause). A row that no longer differs fails the test.
"""

from collections.abc import Mapping
from typing import Final

MARKET: Final = "a market place: prices move by the day, ours are those of another day"
SEARCH: Final = "the package has no price of searches"
CACHED: Final = "the package has no price of cached reads"
LISTED: Final = "ours is the list price of August 2026; the package has another"
SIZE: Final = "ours goes by the size of the search, the package takes the dearest"
VISION: Final = "the package takes it for deepseek-v4-flash"

DIFFERENCES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("deepseek", "deepseek/deepseek-v4-flash-vision-exp"): ("*", VISION),
    ("fireworks", "openai/gpt-oss-120b"): ("cached_read_text_tokens", LISTED),
    ("fireworks", "openai/gpt-oss-20b"): ("cached_read_text_tokens", LISTED),
    ("groq", "meta/llama-3.1-8b"): ("cached_read_text_tokens", CACHED),
    ("openrouter", "google/gemini-3.6-flash"): ("*", MARKET),
    ("openrouter", "google/gemini-2.5-flash"): (
        "cached_write_text_tokens cached_write_text_tokens_1h", "ours is rounded: 0.083333333 for a twelfth",
    ),
    ("openrouter", "deepseek/deepseek-v4-flash-0731"): ("*", MARKET),
    ("openrouter", "deepseek/deepseek-v4-pro"): ("*", MARKET),
    ("openrouter", "moonshotai/kimi-k2.7-code"): ("*", MARKET),
    ("openrouter", "z-ai/glm-5.2"): ("*", MARKET),
    ("openrouter", "meta/muse-spark-1.2"): ("native_web_search_requests", "ours has no price of searches"),
    ("openrouter", "nvidia/nemotron-3-ultra-550b-a55b"): (
        "cached_read_text_tokens output_text_tokens output_reasoning_tokens", MARKET,
    ),
    ("openrouter", "openai/gpt-oss-120b"): ("*", MARKET),
    ("perplexity", "perplexity/sonar"): ("requests", SIZE),
    ("perplexity", "perplexity/sonar-pro"): ("requests", SIZE),
    ("perplexity", "perplexity/sonar-reasoning-pro"): ("requests", SIZE),
    ("together", "meta/llama-3.3-70b"): ("*", LISTED),
    ("together", "qwen/qwen3.7-max"): ("*", LISTED),
    ("bedrock", "qwen/qwen3-32b"): ("*", "the package rounds to two digits"),
    ("vertex", "google/gemini-3-pro-image"): ("cached_read_text_tokens", CACHED),
    ("vertex", "google/gemini-3.1-flash-image"): ("cached_read_text_tokens", CACHED),
    ("xai", "spacex-ai/grok-4.6"): ("native_web_search_requests", SEARCH),
    ("xai", "spacex-ai/grok-4.5"): ("native_web_search_requests", SEARCH),
    ("xai", "spacex-ai/grok-4.3"): ("native_web_search_requests", SEARCH),
}  # fmt: skip
