"""The provider `vertex`: a project's address, and a service account's tokens from a token server."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import SecretStr, ValidationError

from plugin_sdk.errors import UpstreamError, UpstreamRejected, UpstreamUnauthorized
from plugin_sdk.fidelity import Report
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.testing import check_provider
from plugins.modalities.text import GENERATE
from plugins.providers.vertex import Vertex
from plugins.providers.vertex.account import MISSING, SCOPES

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PROJECT = "acme-project-1"


class TokenServer(ThreadingHTTPServer):
    """Gives tokens for assertions whose signature is right; counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.claims: list[dict[str, Any]] = []
        self.lifetime = 3_600
        self.refuses = False
        self.gate = threading.Event()
        self.gate.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token"


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        self.server.claims.append(_verified(form["assertion"][0]))
        self.server.gate.wait(5)
        if self.server.refuses:
            self._answer(401, {"error": "invalid_grant", "error_description": "no such account"})
        else:
            number = len(self.server.claims)
            self._answer(200, {"access_token": f"ya29.token-{number}", "expires_in": self.server.lifetime})

    def _answer(self, status: int, fields: dict[str, Any]) -> None:
        body = json.dumps({"token_type": "Bearer", **fields}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _verified(assertion: str) -> dict[str, Any]:
    """The claims of a JWT that our private key has signed."""
    head, claims, signature = assertion.split(".")
    PRIVATE.public_key().verify(
        _raw(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    found: dict[str, Any] = json.loads(_raw(claims))
    return found


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def account(url: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "service_account", "project_id": PROJECT, "private_key_id": "k1", "private_key": PEM,
        "client_email": "gateway@acme.example", "client_id": "1", "token_uri": url, **more,
    }  # fmt: skip


def vertex(**config: Any) -> Vertex:
    return Vertex("vertex", Vertex.Config.model_validate(config))


def with_token(**config: Any) -> Vertex:
    return vertex(**{"api_key": "ya29.given-token", "project": PROJECT, **config})


def request(path: str = "models/gemini-x:generateContent", body: Any = None) -> UpstreamRequest:
    url = f"https://v.example/v1beta/{path}"
    return UpstreamRequest(method="POST", url=url, body=json.dumps(body or {"contents": []}).encode())


def bearer(provider: Vertex) -> str | None:
    return provider.sign(request()).headers.get("authorization")


def test_it_keeps_the_rules_of_providers() -> None:
    check_provider(Vertex, {"project": PROJECT}, operations=[GENERATE])


# The address


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "aiplatform.googleapis.com"), ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)  # fmt: skip
def test_the_location_decides_the_host_unless_the_operator_does(location: str, host: str) -> None:
    assert with_token(location=location).config.base_url == f"https://{host}"
    assert (
        with_token(location=location, base_url="http://127.0.0.1:1").config.base_url == "http://127.0.0.1:1"
    )


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("models/gemini-x:generateContent", "publishers/google/models/gemini-x:generateContent"),
        ("models/m:streamGenerateContent?alt=x", "publishers/google/models/m:streamGenerateContent?alt=x"),
        ("endpoints/123:generateContent", "endpoints/123:generateContent"),
    ],
)  # fmt: skip
def test_a_model_is_asked_at_the_address_of_the_project(path: str, asked: str) -> None:
    url = with_token(location="us-central1").adapt(request(path), Report()).url
    assert url == f"https://v.example/v1/projects/{PROJECT}/locations/us-central1/{asked}"


def test_calls_and_results_bear_no_ids_there_and_no_other_byte_is_touched() -> None:
    parts = [
        {"functionCall": {"id": "1", "name": "f", "args": {"id": "mine"}}, "thoughtSignature": "QQ=="},
        {"text": "id"},
        {"functionResponse": {"id": "1", "name": "f", "response": {"id": "mine"}}},
    ]
    adapted = with_token().adapt(request(body={"contents": [{"role": "user", "parts": parts}]}), Report())
    call, text, response = json.loads(adapted.body)["contents"][0]["parts"]
    assert call == {"functionCall": {"name": "f", "args": {"id": "mine"}}, "thoughtSignature": "QQ=="}
    assert text == {"text": "id"}
    assert response == {"functionResponse": {"name": "f", "response": {"id": "mine"}}}
    plain = request(body={"contents": [{"parts": [{"text": "x"}]}], "labels": {"a": "b"}})
    assert with_token().adapt(plain, Report()).body == plain.body


def test_a_service_tier_is_left_out_and_told() -> None:
    report = Report()
    adapted = with_token().adapt(request(body={"contents": [], "serviceTier": "flex"}), report)
    assert json.loads(adapted.body) == {"contents": []}
    assert list(report.dropped) == ["serviceTier"]


def test_a_request_of_another_protocol_is_left_alone() -> None:
    other = UpstreamRequest(method="POST", url="https://v.example/v1/chat/completions", body=b"{}")
    assert with_token().adapt(other, Report()) == other


def test_our_project_is_nobodys_business() -> None:
    said = f"Publisher Model `projects/{PROJECT}/locations/l/x` not found; project {PROJECT} may not see it."
    error = with_token().classify(404, {}, json.dumps({"error": {"code": 404, "message": said}}).encode())
    assert type(error) is UpstreamRejected
    assert PROJECT not in error.message


# The token


async def test_a_token_that_was_given_is_used_as_it_is() -> None:
    provider = with_token()
    await provider.refresh()
    assert bearer(provider) == "Bearer ya29.given-token"


async def test_a_service_account_gets_a_token_for_a_signed_assertion_and_keeps_it(
    tokens: TokenServer,
) -> None:
    provider = vertex(service_account=json.dumps(account(tokens.url)))
    assert bearer(provider) is None
    for _ in range(3):
        await provider.refresh()
        assert bearer(provider) == "Bearer ya29.token-1"
    (claims,) = tokens.claims
    assert claims["iss"] == "gateway@acme.example"
    assert claims["exp"] > time.time()
    assert claims["scope"] == SCOPES[0]
    assert provider.config.project == PROJECT


async def test_a_token_is_renewed_before_it_runs_out(tokens: TokenServer) -> None:
    tokens.lifetime = 60
    provider = vertex(service_account=account(tokens.url))
    await provider.refresh()
    await provider.refresh()
    assert bearer(provider) == "Bearer ya29.token-2"


async def test_many_requests_wait_for_one_renewal_and_the_loop_goes_on_meanwhile(tokens: TokenServer) -> None:
    provider = vertex(service_account=account(tokens.url))
    tokens.gate.clear()
    waiting = [asyncio.create_task(provider.refresh()) for _ in range(20)]
    while not tokens.claims:  # the server has been asked, and does not answer
        await asyncio.sleep(0.01)
    turns = 0
    for _ in range(10):
        await asyncio.sleep(0)
        turns += 1
    assert turns == 10
    assert not any(task.done() for task in waiting)
    tokens.gate.set()
    await asyncio.gather(*waiting)
    assert len(tokens.claims) == 1
    assert bearer(provider) == "Bearer ya29.token-1"


async def test_a_client_that_leaves_takes_no_renewal_along(tokens: TokenServer) -> None:
    provider = vertex(service_account=account(tokens.url))
    tokens.gate.clear()
    first = asyncio.create_task(provider.refresh())
    while not tokens.claims:
        await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(provider.refresh())
    await asyncio.sleep(0)
    tokens.gate.set()
    await second
    assert len(tokens.claims) == 1


async def test_a_refused_account_is_our_fault_and_may_be_tried_again(tokens: TokenServer) -> None:
    tokens.refuses = True
    provider = vertex(service_account=account(tokens.url))
    with pytest.raises(UpstreamUnauthorized) as caught:
        await provider.refresh()
    assert caught.value.provider == "vertex"
    assert "acme" not in caught.value.message
    assert "no such account" in str(caught.value.__cause__)
    tokens.refuses = False
    await provider.refresh()
    assert bearer(provider) == f"Bearer ya29.token-{len(tokens.claims)}"


async def test_a_token_server_that_is_away_is_a_failure_that_another_endpoint_may_answer() -> None:
    provider = vertex(service_account=account("http://127.0.0.1:9/token"))
    with pytest.raises(UpstreamError) as caught:
        await provider.refresh()
    assert type(caught.value) is UpstreamError
    assert caught.value.retryable


async def test_the_account_may_be_a_file(tokens: TokenServer, tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account(tokens.url)))
    provider = vertex(service_account=str(file), project="other-project-2")
    await provider.refresh()
    assert bearer(provider) == "Bearer ya29.token-1"
    assert provider.config.project == "other-project-2"
    for shown in (repr(provider.config), str(provider.config), provider.config.model_dump_json()):
        assert "PRIVATE KEY" not in shown
    assert b"ya29" not in (provider.classify(400, {}, b'{"message": "ya29.token-1"}').message or "").encode()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"api_key": "x"}, "project"),
        ({"project": "Not A Project", "api_key": "x"}, "project"),
        ({"service_account": "{}"}, "not the JSON key of a service account"),
        ({"service_account": "{broken"}, "not the JSON key of a service account"),
        ({"service_account": "no/such/file.json"}, "cannot be read: FileNotFoundError"),
        (
            {"service_account": account("http://x"), "api_key": "x"},
            "give service_account or api_key, not both",
        ),
        ({"project": PROJECT, "location": "x/../y"}, "location"),
    ],
)
def test_a_mistake_in_the_block_is_told_without_the_key(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Vertex.Config.model_validate(config)
    messages = [f"{error['loc']} {error['msg']}" for error in caught.value.errors(include_input=False)]
    assert said in "\n".join(messages)
    assert "PRIVATE KEY" not in "\n".join(messages)


def test_without_google_auth_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google.oauth2.service_account", None)
    with pytest.raises(RuntimeError, match="vertex") as caught:
        vertex(service_account=account("http://x"))
    assert str(caught.value) == MISSING
    assert with_token()  # needs none


def test_an_account_whose_key_is_no_key_is_an_operators_message() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        vertex(service_account=account("http://x", private_key="not a key"))
    assert "not a key" not in str(caught.value)


async def test_a_teams_own_token_takes_the_place_of_the_service_account() -> None:
    own = vertex(service_account=account("http://127.0.0.1:9/token")).keyed(SecretStr("token-of-a-team"))
    await own.refresh()  # and nobody is asked for a token of ours
    sent = own.sign(UpstreamRequest(method="POST", url="https://v.example/x", headers={}, body=b"{}"))
    assert dict(sent.headers) == {"authorization": "Bearer token-of-a-team"}
