"""The Quart application: generation routes go straight to the lane, everything else to the platform."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from quart import Quart, Response, request
from quart.asgi import ASGIHTTPConnection

from gateway_core.http.platform import Platform
from gateway_core.pipeline.lane import Lane
from plugin_sdk.routes import PlatformRequest

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
PLATFORM_BODY_LIMIT = 1 << 20


def _connection(app: Quart, scope: Any) -> Callable[[Any, Any], Awaitable[None]]:
    """What Quart makes for each HTTP scope: the lane for its routes, Quart's own connection for the rest."""
    lane: Lane | None = app.config["LANE"]
    if lane is not None and (route := lane.route(scope)) is not None:
        return partial(lane, route, scope)
    return ASGIHTTPConnection(app, scope)


def application(
    start: Callable[[], Awaitable[tuple[Lane, Platform]]], stop: Callable[[], Awaitable[None]]
) -> Quart:
    """A Quart app whose lane and platform exist while it serves: `start` makes them, `stop` lets them go."""
    app = Quart("gateway_core", static_folder=None)
    app.asgi_http_class = _connection  # type: ignore[assignment]  # architecture 14.12
    app.config.update(
        LANE=None, PLATFORM=None, MAX_CONTENT_LENGTH=PLATFORM_BODY_LIMIT, PROVIDE_AUTOMATIC_OPTIONS=False
    )

    @app.before_serving
    async def _start() -> None:
        app.config["LANE"], app.config["PLATFORM"] = await start()

    @app.after_serving
    async def _stop() -> None:
        await stop()

    async def view(path: str = "") -> Response:
        platform: Platform = app.config["PLATFORM"]
        body_sent: bytes = await request.get_data(as_text=False)  # type: ignore[assignment]  # typed for both
        status, headers, body = await platform.answer(
            PlatformRequest(
                method=request.method,
                path="/" + path,
                query={name: request.args.getlist(name) for name in request.args},
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body_sent,
            )
        )
        return Response(body, status, headers)

    app.add_url_rule("/", "root", view, methods=METHODS, provide_automatic_options=False)
    app.add_url_rule("/<path:path>", "path", view, methods=METHODS, provide_automatic_options=False)
    return app
