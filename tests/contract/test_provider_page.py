"""The page on providers shows a distribution that is really installed and served in the tests."""

from tests.contract.repository import ROOT, blocks, files

ACME = ROOT / "tests" / "thirdparty" / "acme"
LONGEST = 60


def test_the_provider_page_includes_the_files_of_the_third_party_distribution() -> None:
    languages = ("python", "toml", "yaml")
    page = ROOT / "docs" / "extend" / "provider.md"
    shown = {text.strip() for language in languages for _, text in blocks(page, language)}
    real = [path for path in files() if path.is_relative_to(ACME) and path.name != "__init__.py"]
    wanted = [path for path in real if path.suffix in (".py", ".toml", ".yaml")]
    assert len(wanted) == 3
    assert [path.name for path in wanted if path.read_text().strip() not in shown] == []


def test_the_third_party_provider_stays_small() -> None:
    sources = [path for path in files() if path.is_relative_to(ACME) and path.suffix == ".py"]
    assert sources
    assert sum(len(path.read_text().splitlines()) for path in sources) < LONGEST
