"""Which columns a loaded model takes, of what types, and how its code gets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.errors import ServingError
from serving.functions.columns import DATETIME
from serving.models.native.messages import BOOLEAN_IF_KNOWN, Layout
from serving.scorecard.inputs import CATEGORY, MLFLOW_TYPES, NUMBER, WHOLE_TYPES, Input

if TYPE_CHECKING:
    from serving.models.native import NativeModel

# The types of a signature as those that a scorecard reads.
_BESIDE_SCORECARD = dict.fromkeys(("double", "float", *WHOLE_TYPES), "double") | {"boolean": BOOLEAN_IF_KNOWN}


@dataclass(frozen=True)
class ModelColumns:
    """The columns of a model, in its order.

    Parameters
    ----------
    names : by which a table has them.
    layout : how the model takes them.
    kinds : their types in the model's signature; empty without a signature of named columns.
    optional : those that may be absent from a table.
    constant : the name of a column of ones that the model was fitted with; None without one.
    """

    names: tuple[str, ...]
    layout: Layout
    kinds: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    constant: str | None = None

    @property
    def as_found(self) -> frozenset[str]:
        """The columns whose type is none of a scorecard's inputs, or is not known."""
        return frozenset(name for name, kind in self.typed.items() if kind not in MLFLOW_TYPES)

    @property
    def moments(self) -> frozenset[str]:
        """The columns of dates and times, by the signature."""
        return frozenset(name for name, kind in self.typed.items() if kind == DATETIME)

    @property
    def typed(self) -> dict[str, str | None]:
        """The type of each column in the signature; None without one."""
        return dict(zip(self.names, self.kinds or (None,) * len(self.names), strict=True))

    def layout_of(self, names: Sequence[str]) -> Layout:
        """How the model takes a table of these columns, which may lack optional ones."""
        kinds = dict(zip(self.names, self.layout.kinds, strict=False))
        return Layout([kinds[name] for name in names if kinds], self.layout.whole_names, self.layout.array)

    def beside_scorecard(self, names: Sequence[str]) -> Layout:
        """How the pipeline takes a table that its scorecard takes, too: all numbers are float64, and names are text."""
        if self.layout.array or self.layout.whole_names:
            return Layout(array=True)
        return Layout([_BESIDE_SCORECARD.get(kind, "string") for kind in self.layout_of(names).kinds])

    def as_input(self, name: str, *, decimal: str = ".", thousands: str = "") -> Input:
        """A column of a signature as an input.

        Parameters
        ----------
        decimal, thousands : the marks of a column of numbers.
        """
        kind = self.typed[name]
        if kind not in MLFLOW_TYPES:
            return Input(name, CATEGORY)
        written = {"decimal": decimal, "thousands": thousands} if MLFLOW_TYPES[kind] == NUMBER else {}
        # MLflow takes no missing value for these; for a boolean it does if the column was logged with some.
        null = kind not in (*WHOLE_TYPES, "boolean") or (kind == "boolean" and name in self.optional)
        return Input(name, MLFLOW_TYPES[kind], kind in WHOLE_TYPES, null, **written)


def named(native: "NativeModel") -> ModelColumns | None:
    """The columns that a model names: those of its signature, else those that it was fitted on; None if it names none.

    Raises
    ------
    ServingError
        if the signature lacks the constant that the model was fitted with.
    """
    logged, loaded = native.logged, native.loaded
    constant = None if loaded.names is None or loaded.constant is None else loaded.names[loaded.constant]
    if signed := logged.columns:
        names = tuple(column.name for column in signed)
        if constant is not None and constant not in names:
            raise ServingError(
                f"{native.called} was fitted with the constant {constant!r}, which its signature lacks, so its code is "
                f"never given it; log it with a signature that has {constant!r}"
            )
        kinds = tuple(column.kind for column in signed)
        whole = all(column.whole_name for column in signed)
        optional = frozenset(column.name for column in signed if not column.required)
        return ModelColumns(names, Layout(list(kinds), whole_names=whole), kinds, optional, constant)
    if loaded.names is not None:
        return ModelColumns(tuple(loaded.names), Layout(), constant=constant)
    return None


def by_position(native: "NativeModel", names: Sequence[str]) -> ModelColumns:
    """The columns of a model that names none: those of a table, in the order in which the model takes them."""
    width = native.logged.width or native.loaded.width
    return ModelColumns(tuple(names), Layout(array=width is not None))
