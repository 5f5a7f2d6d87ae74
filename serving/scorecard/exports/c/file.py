"""What a C file is written from: its tables, the helpers that it uses, and the stack that it takes."""

from .layout import VectorLayout


class FileParts:
    """The parts of a C file that the writers of its function add to.

    Attributes
    ----------
    pools : tables that helpers look at.
    tables : those that only the function looks at.
    helpers : names of the helpers used.
    stack : about how many bytes a call takes.
    """

    def __init__(self, layout: VectorLayout) -> None:
        self.layout, self.model = layout, layout.scorecard.document.model
        self.outputs = self.model.outputs
        self.pools: list[str] = []
        self.tables: list[str] = []
        self.helpers: set[str] = set()
        self.stack = 8 * layout.size + 4 * len(layout.words) + 256
