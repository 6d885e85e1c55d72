"""What a conformance check raises, and how it says so."""


class ConformanceError(AssertionError):
    """A rule that a plugin must keep, and how it does not."""


def rule(kept: object, broken: str) -> None:
    """Raise ConformanceError if a rule is not kept."""
    if not kept:
        raise ConformanceError(broken)
