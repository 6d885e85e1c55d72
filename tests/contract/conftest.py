"""What the contract tests share."""

from pathlib import Path

import pytest

from tests.contract.repository import ROOT, blocks


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distributions of the pages on providers and policies, as if pip had installed them."""
    (_, policy), *_ = blocks(ROOT / "docs" / "extend" / "policy.md", "python")
    (tmp_path / "acme_markup.py").write_text(policy)
    metadata = tmp_path / "acme_pages-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pages\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[gateway.plugins]\nacme = acme_gateway.provider:Acme\nacme-markup = acme_markup:Markup\n"
    )
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "thirdparty" / "acme"))
    monkeypatch.syspath_prepend(str(tmp_path))
