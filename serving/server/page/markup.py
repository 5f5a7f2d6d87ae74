"""Builds HTML: everything else is escaped, so that no name of a model or column becomes markup."""

from html import escape

_ALONE = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """HTML that needs no escaping."""


def tag(name: str, /, *children, **attributes) -> Markup:
    """An element.

    Parameters
    ----------
    children : markup, text, or None; lists of them are flattened.
    attributes : an underscore becomes a dash, and one at the end is dropped (``class_``); True gives the bare name,
        None and False omit it.
    """
    written = []
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(f" {key}")
        elif value is not None and value is not False:
            written.append(f' {key}="{escape(str(value))}"')
    start = f"<{name}{''.join(written)}>"
    return Markup(start if name in _ALONE else f"{start}{join(*children)}</{name}>")


def join(*children) -> Markup:
    """Concatenate elements and text."""
    written: list[str] = []
    for child in children:
        if child is None or child is False:
            continue
        if isinstance(child, Markup):
            written.append(child)
        elif isinstance(child, (list, tuple)):
            written.append(join(*child))
        else:
            written.append(escape(str(child)))
    return Markup("".join(written))
