"""The registry's error: one line that says what was expected, what was found and what to do."""


class RegistryError(Exception):
    """Anything the registry refuses or cannot do; a command prints it on one line and exits with 2."""
