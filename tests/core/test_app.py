"""A configuration that is refused leaves nothing behind of the plugins that it had started."""

import asyncio
import sys
from pathlib import Path

from gateway_core.app import Gateway
from gateway_core.db.connect import migrate
from tests.core.conftest import Install

MODULE = """
import asyncio
seen = []

class Opener(Plugin):
    @hookimpl
    async def startup(self):
        seen.append("opened")
        self.task = asyncio.create_task(asyncio.sleep(3600), name="of a refused configuration")

    @hookimpl
    async def shutdown(self):
        self.task.cancel()
        seen.append("closed")

class Failing(Plugin):
    @hookimpl
    async def startup(self):
        raise RuntimeError("no")
"""


async def test_plugins_of_a_refused_configuration_let_go_of_what_they_had_opened(
    install: Install, tmp_path: Path
) -> None:
    install("dist-a", {"opener": "t_app:Opener", "failing": "t_app:Failing"}, {"t_app.py": MODULE})
    url = f"sqlite:///{tmp_path}/gateway.db"
    await migrate(url)
    file = tmp_path / "gateway.yaml"
    file.write_text(f"include: standard\ngateway: {{database: '{url}'}}\nplugins: {{simulator: {{}}}}\n")
    gateway = Gateway(file)
    await gateway.start()
    try:
        both = "{simulator: {}, opener: {}, failing: {}}"
        file.write_text(file.read_text().replace("{simulator: {}}", both))
        assert await gateway.reload() == ["a plugin failed to start: no"]
        assert sys.modules["t_app"].seen == ["opened", "closed"]
        await asyncio.sleep(0)
        assert "of a refused configuration" not in {task.get_name() for task in asyncio.all_tasks()}
        file.write_text(file.read_text().replace(", failing: {}", ""))
        assert await gateway.reload() == []
    finally:
        await gateway.stop()
    assert sys.modules["t_app"].seen == ["opened", "closed"] * 2
