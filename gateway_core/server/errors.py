"""Why serving did not start or could not go on."""


class CannotServe(Exception):
    """A sentence for the operator."""
