"""The page on providers shows a distribution that is really installed and served in the tests."""

from tests.contract.repository import ROOT, blocks, files

ACME = ROOT / "tests" / "thirdparty" / "acme"
LONGEST = 60


def test_the_provider_page_includes_the_files_of_the_third_party_distribution() -> None:
    shown = [
        text
        for language in ("python", "toml", "yaml")
        for _, text in blocks(ROOT / "docs/extend/provider.md", language)
    ]
    for path in files():
        if (
            path.is_relative_to(ACME)
            and path.suffix in (".py", ".toml", ".yaml")
            and path.read_text().strip()
        ):
            assert path.read_text().strip() in [text.strip() for text in shown], path.name


def test_the_third_party_provider_stays_small() -> None:
    sources = [path for path in files() if path.is_relative_to(ACME) and path.suffix == ".py"]
    assert sources
    assert sum(len(path.read_text().splitlines()) for path in sources) < LONGEST
