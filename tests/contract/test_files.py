"""What is true of every file: size, docstrings, no machine's path, no index, no secret."""

import ast
import re

from tests.contract.repository import PACKAGES, ROOT, files, python_files, short

LONGEST = 400

# Put together from halves, so that this file does not find itself.
MACHINE_PATH = re.compile(
    r"(?<![\w.\-}])/(?:" + "|".join(("home/[a-z]", "root/", "Users/[A-Z]", "opt/", "work/")) + ")"
)
PACKAGE_INDEX = re.compile(
    r"(?i)https?://[^\s\"']+/" + r"simple\b|--(?:extra-)?" + r"index-url[= ]\S|--find-" + r"links[= ]\S"
)
SECRETS = re.compile(
    r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_\-]{32,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_\-]{35}|\bgh[pousr]_[A-Za-z0-9]{36}|\bgsk_[A-Za-z0-9]{40,}|\bxox[abp]-\w{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE " + r"KEY-----|\baistats_v1_[smt]k_[A-Za-z0-9]{12}_[A-Za-z0-9]{40}\b"
)
# A key that looks real because a test or a page is about keys; each was read by a person.
INVENTED = re.compile(r"(?i)(?:example|not-?a-?real|0123456789|abcdef|xxxx|(.)\1{7})")


def texts() -> list[tuple[str, int, str]]:
    """(file, line number, line) of every text file."""
    found = []
    for path in files():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [(short(path), number, line) for number, line in enumerate(lines, 1)]
    return found


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    assert [f"{name}:{number}: {line}" for name, number, line in texts() if MACHINE_PATH.search(line)] == []


def test_no_file_names_a_package_index() -> None:
    assert [f"{name}:{number}: {line}" for name, number, line in texts() if PACKAGE_INDEX.search(line)] == []


def test_a_lock_file_holds_only_pins_markers_and_hashes() -> None:
    line = re.compile(r"[a-z0-9.\-]+==[A-Za-z0-9.+!]+( ; [^/\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / "config" / name).read_text().splitlines()
        assert len(lines) > 100
        assert [text for text in lines if not line.fullmatch(text)] == []


def test_no_file_holds_what_looks_like_a_secret() -> None:
    found = [
        f"{name}:{number}: {match[0]}"
        for name, number, line in texts()
        for match in SECRETS.finditer(line)
        if not INVENTED.search(match[0])
    ]
    assert found == []


def test_python_files_stay_short_enough_to_read() -> None:
    lengths = {short(path): len(path.read_text().splitlines()) for path in python_files(*PACKAGES)}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    silent = []
    for path in python_files(*PACKAGES):
        source = path.read_text()
        if path.name == "__init__.py" and not source.strip():
            continue
        if not ast.get_docstring(ast.parse(source)):
            silent.append(short(path))
    assert silent == []


def test_the_root_holds_only_its_known_names() -> None:
    allowed = {
        "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "pyproject.toml",
        "config", "docs", "gateway_core", "plugin_sdk", "plugins", "tests",
    }  # fmt: skip
    found = {path.relative_to(ROOT).parts[0] for path in files()}
    assert {name for name in found if not name.startswith(".")} == allowed


def test_the_licence_is_the_whole_of_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "9. Accepting Warranty or Additional Liability" in text


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    assert "\n## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
