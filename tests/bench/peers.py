"""Other gateways, where a person has installed them: how each is started and asked.

Nothing is downloaded. Each is told to use the bench's upstream, on the core that ours has too.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from tests.bench.cases import CASES, Case, Contender
from tests.bench.machine import OURS, on_core
from tests.bench.native import BUILT, Target, request
from tests.gateway.process import free_port

_START: Final = 180.0  # some need half a minute
_SAME: Final = tuple(case.name for case in CASES if not case.translated)
Peer = Callable[[Path, Target], "contextlib.AbstractContextManager[Contender]"]


@contextlib.contextmanager
def ferro(binary: Path, upstream: Target) -> Iterator[Contender]:
    """`ferrogw`. It knows one base URL, so that there is one process for each behaviour of the upstream."""
    key, log = f"fgw_{secrets.token_hex(16)}", BUILT / "ferro.log"
    file = _written(
        "ferro.yaml",
        {
            "strategy": {"mode": "fallback"},
            "targets": [{"virtual_key": "openai"}],
            "aliases": {"mock": "gpt-4o"},
        },
    )
    with contextlib.ExitStack() as stack:
        found = {}
        for behaviour in dict.fromkeys(case.behaviour for case in CASES if not case.translated):
            port = free_port()
            environment = {
                "GATEWAY_CONFIG": str(file),
                "OPENAI_API_KEY": "none",
                "MASTER_KEY": key,
                "PORT": str(port),
                "LOG_LEVEL": "error",
                "RATE_LIMIT_RPS": "0",
                "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream.port}/{behaviour}",
            }
            process = stack.enter_context(_process([str(binary), "serve"], environment, log))
            found[behaviour] = Target(port=port, headers={"authorization": f"Bearer {key}"}, pid=process.pid)
            _wait(found[behaviour], "gpt-4o", process, log)
        yield Contender(
            name="ferro", cases=_SAME, target=lambda case: found[case.behaviour], model=lambda case: "gpt-4o"
        )


@contextlib.contextmanager
def litellm(binary: Path, upstream: Target) -> Iterator[Contender]:
    """The proxy of LiteLLM, one worker."""
    port, log, key = free_port(), BUILT / "litellm.log", "sk-bench"
    base = f"http://127.0.0.1:{upstream.port}/v1"
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}", "api_base": base, "api_key": "none"},
        }
        for name in dict.fromkeys(map(_mock, CASES))
    ]
    file = _written("litellm.yaml", {"model_list": models, "general_settings": {"master_key": key}})
    command = [
        str(binary),
        "--config",
        str(file),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--num_workers",
        "1",
    ]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with _process(command, environment, log) as process:
        found = Target(port=port, headers={"authorization": f"Bearer {key}"}, pid=process.pid)
        _wait(found, "mock-d0", process, log)
        yield Contender(name="litellm", cases=_SAME, target=lambda case: found, model=_mock)


@contextlib.contextmanager
def portkey(script: Path, upstream: Target) -> Iterator[Contender]:
    """`start-server.js` of Portkey's open gateway, run by node."""
    port, log = free_port(), BUILT / "portkey.log"
    headers = {
        "authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream.port}/v1",
    }
    with _process(["node", str(script), "--headless", f"--port={port}"], {}, log) as process:
        found = Target(port=port, headers=headers, pid=process.pid)
        _wait(found, "mock-d0", process, log)
        yield Contender(name="portkey", cases=_SAME, target=lambda case: found, model=_mock)


PEERS: Final[Mapping[str, Peer]] = {"ferro": ferro, "litellm": litellm, "portkey": portkey}


def _mock(case: Case) -> str:
    return f"mock-{case.behaviour}"


def _written(name: str, content: object) -> Path:
    BUILT.mkdir(parents=True, exist_ok=True)
    path = BUILT / name
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@contextlib.contextmanager
def _process(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A peer on its core; all of its process group ends with the block."""
    with on_core(OURS), log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
            cwd=BUILT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(target: Target, model: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once it answers."""
    deadline = time.monotonic() + _START
    call = urllib.request.Request(
        f"http://127.0.0.1:{target.port}{target.path}",
        data=request(model, stream=False),
        headers={"content-type": "application/json", **target.headers},
    )
    said = ""
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(call, timeout=10) as answer:
                answer.read()
                return
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace")
        except OSError as error:
            said = str(error)
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} did not answer: {said}\n{log.read_text(errors='replace')[-2000:]}")
