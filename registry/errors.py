"""The registry's error: one line that says what was expected, what was found and what to do."""

from registry.redaction import explained


class Explained(Exception):
    """An error with a line for a person, in which no secret is left, whatever a library or a user put into it."""

    def __init__(self, *args: object):
        super().__init__(*(explained(one) if isinstance(one, str) else one for one in args))


class RegistryError(Explained):
    """Anything the registry refuses or cannot do; a command prints it on one line and exits with 2."""
