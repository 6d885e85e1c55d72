"""TLS contexts, built once: one that verifies, and one for operators who say `verify_tls: false`."""

import ssl
from collections.abc import Mapping

import certifi

from plugin_sdk.errors import UpstreamError


class TLS:
    """The contexts of a process, made when the first connection needs them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def context(self, *, verify: bool) -> ssl.SSLContext:
        """The context for verified or unverified connections."""
        context = self._contexts.get(verify)
        if context is None:
            context = self._contexts[verify] = self._verifying() if verify else _trusting()
        return context

    def _verifying(self) -> ssl.SSLContext:
        """The same roots as httpx: SSL_CERT_FILE, SSL_CERT_DIR, else certifi's."""
        file, folder = self._environ.get("SSL_CERT_FILE"), self._environ.get("SSL_CERT_DIR")
        try:
            if file:
                context = ssl.create_default_context(cafile=file)
            elif folder:
                context = ssl.create_default_context(capath=folder)
            else:
                context = ssl.create_default_context(cafile=certifi.where())
        except OSError as error:
            raise UpstreamError(
                "connect failed: the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read",
                reason="connect_failed",
            ) from error
        context.set_alpn_protocols(["http/1.1"])
        return context


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
