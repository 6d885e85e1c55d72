"""The application in stock Hypercorn: what `gateway serve` is told, without a line of our server."""

import asyncio
import signal
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config

from gateway_core.app import create_app


async def main(certificate: str, key: str, tls_port: str, config_path: str, listen: str) -> None:
    """Serve plain HTTP at `listen` and TLS at another port, until SIGTERM."""
    config = Config()
    config.insecure_bind = [listen]
    config.bind = [f"127.0.0.1:{tls_port}"]
    config.certfile, config.keyfile = certificate, key
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    print(f"stock Hypercorn listens on {listen}", flush=True)

    async def stopped() -> None:
        await stopping.wait()

    await serve(create_app(config_path), config, shutdown_trigger=stopped)  # type: ignore[arg-type]


if __name__ == "__main__":
    cert, key, port, _, path, _, _, listen, *_ = sys.argv[1:]
    asyncio.run(main(cert, key, port, path, listen))
