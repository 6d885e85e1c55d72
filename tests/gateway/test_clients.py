"""The acceptance scripts on official SDKs, Python and JavaScript, against the simulator."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.process import Gateway

CHAT = (
    "models_list,chat,chat_raw_headers,chat_stream_usage,chat_stream_early_close,tool_round_trip,tool_stream,"
    "structured_parse,json_object,vision,reasoning_effort,error_401,error_404_model,error_404_stream,error_400,"
    "error_402"
)
RESPONSES = "responses,responses_stream,responses_tools,responses_structured"
MESSAGES = (
    "messages,messages_x_api_key,system_and_stop,messages_stream,tool_round_trip,tool_stream,vision,thinking,"
    "count_tokens,models_list,error_401,error_404_model,error_shape,error_402"
)
SCRIPTS = {"openai_py.py": f"{CHAT},{RESPONSES}", "anthropic_py.py": MESSAGES}


def script(shared: Path, name: str) -> Path:
    found = shared / "clients" / name
    if not found.exists():
        pytest.skip(f"no acceptance script {name} beside the repository")
    return found


def outcome(command: list[str], gateway: Gateway, cases: str, folder: Path) -> str:
    """The last line of a script that ended well."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    wanted = {
        "BASE_URL": gateway.base_url, "API_KEY": gateway.key, "POOR_KEY": gateway.poor_key,
        "MODEL": "sim/chat", "REASONING_MODEL": "sim/reasoner", "ONLY": cases, "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run(
        command, env={**kept, **wanted}, cwd=folder, capture_output=True, timeout=120, check=False
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said + done.stderr.decode()
    return said.strip().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_python_script_passes(name: str, gateway: Gateway, shared: Path, tmp_path: Path) -> None:
    said = outcome([sys.executable, str(script(shared, name))], gateway, SCRIPTS[name], tmp_path)
    assert said.startswith(f"{len(SCRIPTS[name].split(','))} passed, 0 failed"), said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai_js.mjs", "anthropic_js.mjs"])
def test_the_javascript_script_passes(name: str, gateway: Gateway, shared: Path, tmp_path: Path) -> None:
    """Where GATEWAY_NODE_MODULES is a folder that holds openai, @anthropic-ai/sdk and zod."""
    modules = os.environ.get("GATEWAY_NODE_MODULES")
    if modules is None or shutil.which("node") is None:
        pytest.skip("no GATEWAY_NODE_MODULES with the SDKs, or no node")
    for one in (name, "common.mjs"):
        shutil.copy(script(shared, one), tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    found = re.findall(r"^  async (\w+)\(\)", (tmp_path / name).read_text(), re.MULTILINE)
    left = {"embeddings", "moderations", "speech", "transcription", "images", "files", "batches"}
    cases = [case for case in found if case not in left]
    said = outcome(["node", name], gateway, ",".join(cases), tmp_path)
    assert said.startswith(f"{len(cases)} passed, 0 failed"), said
