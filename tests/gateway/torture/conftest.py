"""How much torture there is, and the table of what it found."""

import pytest

from tests.gateway.torture.killing import PLAN

PROPERTY = "torture"  # (step, database, kills, findings)


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether all of it is wanted (`make torture`), or as much as every test run can afford."""
    return bool(request.config.getoption("--whole"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table: steps, databases, kills, findings."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    rows = [value for report in reports for name, value in report.user_properties if name == PROPERTY]
    if not rows:
        return
    terminalreporter.section("killed at each step")
    terminalreporter.write_line(f"{'step':34}{'database':12}{'kills':>6}{'findings':>10}")
    for step, database, kills, findings in sorted(rows, key=lambda row: (PLAN.index(row[0]), row[1])):
        terminalreporter.write_line(f"{step:34}{database:12}{kills:>6}{findings:>10}")
