"""The core's own platform routes: the root, health, and what can be called."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway_core.pipeline.runtime import Runtime
from plugin_sdk.errors import InvalidRequest, NotImplementedYet
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute

MAX_LIMIT: Final = 250
MAX_OFFSET: Final = 5_000
# What a client may call an operation in `?endpoints=` (contract, section 10.1).
ENDPOINT_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "chat": ("text.generate",),
    "chat.completions": ("text.generate",),
    "chat/completions": ("text.generate",),
    "responses": ("text.generate",),
    "messages": ("text.generate",),
    "embeddings": ("text.embed",),
    "moderations": ("text.moderate",),
    "images": ("image.generate", "image.edit"),
    "images.generations": ("image.generate",),
    "images.edits": ("image.edit",),
    "video": ("video.generate",),
    "videos": ("video.generate",),
    "audio": ("audio.speech", "audio.transcription", "audio.translations"),
    "music.generate": ("music.generate",),
}


def core_routes(runtime: Runtime) -> tuple[PlatformRoute, ...]:
    """The routes that no plugin owns."""

    async def health(_: PlatformRequest) -> PlatformResponse:
        return PlatformResponse(body={"status": "ok"}, headers={"cache-control": "no-store"})

    async def models(request: PlatformRequest) -> PlatformResponse:
        return _models(runtime, request)

    return (
        PlatformRoute(method="GET", path="/health", handler=health, key="none"),
        PlatformRoute(method="GET", path="/gateway/models", handler=models, key="any"),
    )


async def root(_: PlatformRequest) -> PlatformResponse:
    """GET /, the one route outside /v1."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return PlatformResponse(body={"message": "AI Stats Gateway", "timestamp": now})


ROOT: Final = PlatformRoute(method="GET", path="/", handler=root, key="none")


def _models(runtime: Runtime, request: PlatformRequest) -> PlatformResponse:
    """GET /gateway/models: what can be called, newest first (contract, section 10.1)."""
    if _words(request, "privacy_scope") not in ([], ["shared"]):
        raise NotImplementedYet(
            "privacy_scope `team` is not served.", reason="models_privacy_scope_not_implemented"
        )
    limit = _integer(request, "limit", default=50, least=1, most=MAX_LIMIT)
    offset = _integer(request, "offset", default=0, least=0, most=MAX_OFFSET)
    rows = [row for row in map(dict, runtime.snapshot.models) if _wanted(row, request)]
    rows.sort(key=lambda row: str(row.get("name") or row["model_id"]))
    rows.sort(key=lambda row: str(row.get("release_date") or ""), reverse=True)
    body = {
        "ok": True,
        "privacy_scope": "shared",
        "limit": limit,
        "offset": offset,
        "total": len(rows),
        "models": rows[offset : offset + limit],
    }
    return PlatformResponse(
        body=body, headers={"cache-control": "private, max-age=1800, stale-while-revalidate=1800"}
    )


def _wanted(row: Mapping[str, Any], request: PlatformRequest) -> bool:
    """Any-overlap match of every filter given."""
    endpoints = {
        operation for word in _words(request, "endpoints") for operation in ENDPOINT_NAMES.get(word, (word,))
    }
    params = {name for provider in row["providers"] for name in provider["params"]}
    return all(
        not wanted or wanted & set(have)
        for wanted, have in (
            (endpoints, row["endpoints"]),
            (set(_words(request, "organisation")), [row.get("organisation_id")]),
            (set(_words(request, "input_types")), row["input_types"]),
            (set(_words(request, "output_types")), row["output_types"]),
            (set(_words(request, "params")), params),
        )
    )


def _words(request: PlatformRequest, name: str) -> list[str]:
    """A repeatable query parameter, or one separated by commas or spaces."""
    return [word for value in request.query.get(name, []) for word in value.replace(",", " ").split() if word]


def _integer(request: PlatformRequest, name: str, *, default: int, least: int, most: int) -> int:
    given = request.query.get(name)
    if not given:
        return default
    text = given[-1]
    if not text.isascii() or not text.isdecimal() or not least <= int(text[:9]) <= most:
        raise InvalidRequest(
            f"`{name}` must be a whole number from {least} to {most}.",
            param=name,
            extra={f"max_{name}": most},
        )
    return int(text)
