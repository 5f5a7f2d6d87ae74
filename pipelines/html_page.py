"""HTML pages that need nothing but themselves: the model card and the monitoring report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

#: Where the style is that the pages have in common.
_COMMON = Path(__file__).parent / "card"


def render(template: Path, filters: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """A page, which UTF-8 can hold whatever is in the values: text in them is escaped.

    Parameters
    ----------
    filters : functions that the template calls, by name.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader((template.parent, _COMMON)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    html = environment.get_template(template.name).render(values)
    # Half of a surrogate pair, which a file of names may hold, has no UTF-8.
    return html.encode("utf-8", "replace").decode("utf-8")
