"""Platform routes: everything beside the pipeline, the core's own and the plugins', behind one Quart view."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway_core.host.dispatch import first
from gateway_core.host.snapshot import Snapshot
from gateway_core.http.routes import ROOT, core_routes
from gateway_core.pipeline.runtime import Runtime
from plugin_sdk.context import Credentials, Principal
from plugin_sdk.errors import Forbidden, GatewayError, MethodNotAllowed, NotFound, Unauthenticated
from plugin_sdk.routes import KeyNeed, PlatformRequest, PlatformResponse, PlatformRoute

CORS: Final[Mapping[str, str]] = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "x-generation-id, x-request-id, x-gateway-fidelity, retry-after",
}
PREFLIGHT: Final[Mapping[str, str]] = {
    **CORS,
    "access-control-allow-methods": "GET,POST,PUT,PATCH,DELETE,OPTIONS",
    "access-control-max-age": "86400",
}


# What our own clients send; a preflight that names others gets them too: nothing here rides on cookies.
ALLOWED: Final = (
    "Authorization, Content-Type, x-title, http-referer, x-gateway-debug, X-AIStats-Strictness, "
    "x-aistats-cache-revalidate, x-gateway-passthrough, x-gateway-fidelity, x-gateway-dry-run, "
    "x-gateway-max-cost, x-api-key, idempotency-key"
)
_NAMES: Final = re.compile(r"[A-Za-z0-9-]{1,64}(?: *, *[A-Za-z0-9-]{1,64}){0,63}")


class Platform:
    """Finds the route, checks the key it needs, calls it, renders what came."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._core = core_routes(runtime)

    async def answer(self, request: PlatformRequest) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body) for any request that is not the pipeline's."""
        if request.method == "OPTIONS":
            asked = request.headers.get("access-control-request-headers", "")
            allowed = f"{ALLOWED}, {asked}" if _NAMES.fullmatch(asked) else ALLOWED
            return 204, {**PREFLIGHT, "access-control-allow-headers": allowed}, b""
        snapshot = self._runtime.snapshot
        route: PlatformRoute | None = None
        try:
            route, parameters = self._find(snapshot, request)
            principal = await self._principal(snapshot, route.key, request)
            found = await route.handler(_with(request, principal, parameters))
        except GatewayError as error:
            headers = {**CORS, "content-type": "application/json"}
            if error.retry_after is not None:
                headers["retry-after"] = error.retry_after
            return error.status, headers, _error(route, error, self._runtime)
        except Exception as error:  # the last resort of a platform route
            self._runtime.log.exception("platform route failed", error, path=request.path)
            failure = {"ok": False, "error": "gateway_error", "message": "The gateway failed."}
            return 500, {**CORS, "content-type": "application/json"}, _json(failure)
        return _rendered(found)

    def _find(self, snapshot: Snapshot, request: PlatformRequest) -> tuple[PlatformRoute, Mapping[str, str]]:
        """The route of a path, or 404; a known path under another method is a 405."""
        if request.path == ROOT.path and request.method in ("GET", "HEAD"):
            return ROOT, {}
        allowed = {method for method, path in snapshot.routes if path == request.path}
        for route in (*self._core, *snapshot.platform_routes):
            parameters = _match("/v1" + route.path, request.path)
            if parameters is None:
                continue
            if route.method == request.method or (route.method == "GET" and request.method == "HEAD"):
                return route, parameters
            allowed.add(route.method)
        if allowed:
            raise MethodNotAllowed(f"{request.path} takes {', '.join(sorted(allowed))}.")
        raise NotFound(f"There is no {request.method} {request.path[:200]}.")

    async def _principal(
        self, snapshot: Snapshot, need: KeyNeed, request: PlatformRequest
    ) -> Principal | None:
        """The caller, of the kind of key that the route needs; default deny."""
        if need == "none":
            return None
        credentials = Credentials(headers=request.headers, method=request.method, path=request.path)
        principal: Principal | None = await first(snapshot.hooks.authenticate, credentials)
        if principal is None:
            raise Unauthenticated(
                "Send an API key: `Authorization: Bearer ...`.",
                reason="missing_or_invalid_authorization_header",
            )
        if need == "management" and principal.mode != "management":
            raise Unauthenticated("This route needs a management key.", reason="management_key_required")
        if need == "inference" and principal.mode == "management":
            raise Unauthenticated(
                "This route needs an ordinary key.", reason="management_key_not_valid_for_gateway"
            )
        return principal


def _match(pattern: str, path: str) -> Mapping[str, str] | None:
    """The `{name}` parameters of a path that fits the pattern, else None; `{name*}` takes all the rest."""
    if "{" not in pattern:
        return {} if pattern == path else None
    wanted, given = pattern.split("/"), path.split("/")
    parameters = {}
    for at, part in enumerate(wanted):
        if part.endswith("*}") and len(given) > at:
            parameters[part[1:-2]] = "/".join(given[at:])
            return parameters
        if at >= len(given):
            return None
        if part.startswith("{"):
            parameters[part[1:-1]] = given[at]
        elif part != given[at]:
            return None
    return parameters if len(wanted) == len(given) and all(parameters.values()) else None


def _with(
    request: PlatformRequest, principal: Principal | None, parameters: Mapping[str, str]
) -> PlatformRequest:
    return PlatformRequest(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body,
        principal=principal,
        parameters=parameters,
    )


def _rendered(found: PlatformResponse) -> tuple[int, dict[str, str], bytes]:
    headers = {**CORS, "content-type": "application/json", **found.headers}
    return found.status, headers, b"" if found.body is None else _json(found.body)


def _error(route: PlatformRoute | None, error: GatewayError, runtime: Runtime) -> bytes:
    """The error body of a platform route; a route whose own SDKs parse another shape renders it itself."""
    if route is not None and route.render_error is not None:
        return route.render_error(error, runtime.ids.generation())
    body: dict[str, Any] = {"ok": False, "error": error.code, "message": error.message}
    if error.reason is not None:
        body["reason"] = error.reason
    if isinstance(error, Unauthenticated | Forbidden):
        body["request_id"] = runtime.ids.generation()
    return _json({**body, **error.extra})


def _json(body: Any) -> bytes:
    """Platform bodies are read by people: two spaces (contract, section 0)."""
    try:
        return msgspec.json.format(msgspec.json.encode(body, enc_hook=str), indent=2) + b"\n"
    except UnicodeEncodeError:  # half a character, which a client wrote as \ud800 and an error repeats
        return json.dumps(body, indent=2, default=str).encode() + b"\n"
