"""`GET /v1/models` and `GET /v1/models/{id}` in the shape that this protocol's SDKs parse."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from plugin_sdk.errors import GatewayError, ModelNotFound
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute

Rows = Callable[[], Sequence[Mapping[str, Any]]]
RenderError = Callable[[GatewayError, str], bytes]


def model_routes(rows: Rows, render_error: RenderError) -> Sequence[PlatformRoute]:
    """The two routes over the catalogue's rows."""

    async def listed(_: PlatformRequest) -> PlatformResponse:
        return PlatformResponse(body={"object": "list", "data": [_model(row) for row in rows()]})

    async def one(request: PlatformRequest) -> PlatformResponse:
        wanted = request.parameters["id"]
        for row in rows():
            if wanted == row["model_id"] or wanted in row["aliases"]:
                return PlatformResponse(body=_model(row))
        raise ModelNotFound(f"The model `{wanted[:200]}` does not exist here.", param="model")

    return [
        PlatformRoute(method="GET", path=path, handler=handler, key="any", render_error=render_error)
        for path, handler in (("/models", listed), ("/models/{id*}", one))
    ]


def _model(row: Mapping[str, Any]) -> dict[str, Any]:
    released = row.get("release_date")
    created = int(datetime.fromisoformat(released).replace(tzinfo=UTC).timestamp()) if released else 0
    model_id = str(row["model_id"])
    owner = row.get("organisation_id") or model_id.partition("/")[0]
    return {"id": model_id, "object": "model", "created": created, "owned_by": owner}
