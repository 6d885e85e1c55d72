"""A server on loopback that answers as Stripe does, as far as top-ups ask: sessions, payments, refunds.

It runs on threads of its own, so that it serves a plugin in this process and gateways in others.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stripe import WebhookSignature
from typing_extensions import override

API_KEY = "sk_test_0123456789abcdefghij"
SECRET = "whsec_0123456789abcdefghij"
Answer = tuple[int, Mapping[str, Any]]


class StripeLike:
    """The account: put payments into it, see what was asked.

    `waits` is passed before each answer is made, `holds` before it is sent.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str]] = []
        self.sessions: dict[str, dict[str, Any]] = {}
        self.intents: dict[str, dict[str, Any]] = {}
        self.returned: dict[str, dict[str, Any]] = {}
        self.down = False
        self.waits: Callable[[str, str], None] = lambda method, path: None
        self.holds: Callable[[str, str], None] = lambda method, path: None
        self._keys: dict[str, tuple[str, Answer]] = {}
        self._lock = threading.RLock()
        self._number = 0

    def paid(self, metadata: Mapping[str, str], cents: int = 5_000, **more: Any) -> str:
        """A payment that succeeded; its id."""
        values = {"amount_received": cents, "amount": cents, "metadata": dict(metadata), **more}
        return str(self._intent(**values)["id"])

    def pay(self, session_id: str) -> str:
        """What a payer does on the page of a session; the payment's id."""
        asked = self.sessions[session_id]["asked"]
        cents = int(asked["line_items"]["0"]["price_data"]["unit_amount"])
        return self.paid(asked["payment_intent_data"]["metadata"], cents)

    def refund(self, intent_id: str, cents: int, status: str = "succeeded") -> str:
        """A refund of a payment; its id."""
        return self._goes_back("re", "refund", intent_id, cents, status)

    def dispute(self, intent_id: str, cents: int, status: str = "needs_response") -> str:
        """A dispute of a payment; its id."""
        return self._goes_back("dp", "dispute", intent_id, cents, status)

    def event(self, intent_id: str, kind: str = "payment_intent.succeeded", **claims: Any) -> bytes:
        """The body of a webhook that tells of a payment, saying of it what it likes."""
        about: dict[str, Any] = {"object": "payment_intent", "id": intent_id, **claims}
        if not kind.startswith("payment_intent"):
            about = {"object": kind.rpartition(".")[0], "id": "x_1", "payment_intent": intent_id, **claims}
        event = {"id": self._id("evt"), "object": "event", "type": kind, "data": {"object": about}}
        return json.dumps(event, indent=2).encode()

    def count(self, method: str, path: str) -> int:
        """How often a path was asked."""
        return self.asked.count((method, path))

    def answer(self, method: str, path: str, fields: dict[str, Any], headers: Mapping[str, str]) -> Answer:
        """What Stripe says."""
        self.asked.append((method, path))
        self.waits(method, path)
        if self.down:
            return 500, {"error": {"type": "api_error", "message": "down"}}
        if headers.get("authorization") != f"Bearer {API_KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key: sk_test"}}
        with self._lock:
            key = headers.get("idempotency-key")
            if method != "POST" or key is None:
                return self._done(method, path, fields)
            content = json.dumps([path, fields], sort_keys=True)
            if key not in self._keys:
                self._keys[key] = content, self._done(method, path, fields)
            asked, said = self._keys[key]
            if asked != content:
                return 400, {"error": {"type": "idempotency_error", "message": "other parameters"}}
            return said

    def _done(self, method: str, path: str, fields: dict[str, Any]) -> Answer:
        _, _, kind, *rest = path.split("/")
        if (method, kind) == ("POST", "checkout"):
            name = self._id("cs")
            made = {"id": name, "object": "checkout.session", "url": f"https://checkout.example/{name}"}
            self.sessions[made["id"]] = {**made, "asked": fields}
            return 200, made
        if (method, kind) == ("POST", "payment_intents"):
            return self._charged(fields)
        if kind == "payment_intents" and rest:
            found = self.intents.get(rest[0])
            if found is None:
                error = {"type": "invalid_request_error", "code": "resource_missing", "message": "no"}
                return 404, {"error": error}
            return 200, found
        if kind == "payment_intents":
            every = [one for one in self.intents.values() if one["customer"] == fields["customer"]]
            return 200, _page(every, path, fields)
        objects = {"refunds": "refund", "disputes": "dispute"}
        every = [
            one
            for one in self.returned.values()
            if (one["object"], one["payment_intent"]) == (objects[kind], fields["payment_intent"])
        ]
        return 200, _page(every, path, fields)

    def _charged(self, fields: dict[str, Any]) -> Answer:
        cents, method = int(fields["amount"]), fields["payment_method"]
        assert fields["off_session"] == fields["confirm"] == "true"
        values = {"customer": fields["customer"], "metadata": fields["metadata"], "amount": cents}
        if method == "pm_declined":
            made = self._intent(status="requires_payment_method", **values)
            error = {"type": "card_error", "code": "card_declined", "message": "no", "payment_intent": made}
            return 402, {"error": error}
        if method == "pm_slow":
            return 200, self._intent(status="processing", **values)
        return 200, self._intent(amount_received=cents, **values)

    def _intent(self, **values: Any) -> dict[str, Any]:
        charge = {"id": self._id("ch"), "object": "charge", "amount_refunded": 0, "disputed": False}
        made = {
            "id": self._id("pi"), "object": "payment_intent", "status": "succeeded", "currency": "usd",
            "created": int(time.time()), "amount": 0, "amount_received": 0, "metadata": {}, "customer": None,
            "latest_charge": charge, **values,
        }  # fmt: skip
        self.intents[made["id"]] = made
        return made

    def _goes_back(self, prefix: str, kind: str, intent_id: str, cents: int, status: str) -> str:
        made = {
            "id": self._id(prefix), "object": kind, "payment_intent": intent_id, "amount": cents,
            "currency": "usd", "status": status, "created": int(time.time()),
        }  # fmt: skip
        self.returned[made["id"]] = made
        charge = self.intents[intent_id]["latest_charge"]
        if kind == "refund":
            charge["amount_refunded"] += cents
        else:
            charge["disputed"] = True
        return str(made["id"])

    def _id(self, prefix: str) -> str:
        with self._lock:
            self._number += 1
            return f"{prefix}_{self._number:06d}"


def signed(body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    """The header of a webhook."""
    signature = WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return {"stripe-signature": signature}


@contextmanager
def serving() -> Iterator[StripeLike]:
    """An account of its own, served for as long as the block lasts."""
    account = StripeLike()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            fields = _nested(body or parts.query)
            status, said = account.answer(self.command, parts.path, fields, headers)
            raw = json.dumps(said).encode()
            account.holds(self.command, parts.path)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.send_header("stripe-should-retry", "false")
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = _answer  # noqa: N815  # what http.server calls

        @override
        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _page(every: list[dict[str, Any]], path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A page of a list, the newest first, behind `starting_after`."""
    newest = every[::-1]
    ids = [one["id"] for one in newest]
    begin = ids.index(fields["starting_after"]) + 1 if "starting_after" in fields else 0
    end = begin + int(fields["limit"])
    return {"object": "list", "url": path, "has_more": end < len(newest), "data": newest[begin:end]}


def _nested(form: str) -> dict[str, Any]:
    """`a[b][0]=c` as objects within objects."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        *path, last = name.replace("]", "").split("[")
        inside = found
        for step in path:
            inside = inside.setdefault(step, {})
        inside[last] = value
    return found
