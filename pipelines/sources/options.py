"""How a delimited file is written, as far as its user says so; the rest is found out."""

from dataclasses import dataclass, fields

from pipelines.errors import PipelineError
from pipelines.numerals import is_number
from serving.scorecard.inputs import DECIMALS, MISSING_TEXT, THOUSANDS, Cleaning
from serving.text_files import spelling

#: Options that mean something for text in any table, also in one whose columns have types.
OF_TEXT = ("decimal", "thousands", "missing")


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a table, named as those of ``pandas.read_csv``; None means that the option is detected.

    Parameters
    ----------
    sep : one character between two values; ``spelling.BLANKS`` for runs of blanks and tabs.
    decimal, thousands : the marks in numbers, of ``inputs.DECIMALS`` and ``inputs.THOUSANDS``.
    encoding : the name of a text encoding that Python knows.
    header : whether the first line names the columns.
    missing : words that mean a missing value, beside ``inputs.MISSING_TEXT``.
    skip_rows : how many lines to skip at the start of a text file; 0 says that the first line belongs to the table.

    Raises
    ------
    PipelineError
        if an option does not take such a value.
    """

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] = ()
    skip_rows: int | None = None

    def __post_init__(self) -> None:
        try:
            spelling.settle(self)
        except ValueError as error:
            raise PipelineError(str(error)) from None
        if self.decimal is not None and self.decimal not in DECIMALS:
            raise PipelineError(f"--decimal: expected '.' or ',', found {self.decimal!r}")
        if self.thousands is not None and self.thousands not in THOUSANDS:
            known = ", ".join(repr(mark) for mark in THOUSANDS[1:])
            raise PipelineError(f"--thousands: expected one of {known}, found {self.thousands!r}")
        if self.decimal is not None and self.decimal == self.thousands:
            raise PipelineError(
                f"--decimal and --thousands: expected two different marks, found {self.decimal!r} twice"
            )
        if self.skip_rows is not None and self.skip_rows < 0:
            raise PipelineError(f"--skip-rows: expected 0 or more, found {self.skip_rows}")
        for word in self.missing:
            # JSON's numbers are no text, and a model could not tell this one from an amount.
            if is_number(word):
                raise PipelineError(
                    f"--missing: expected words, found the number {word!r}; leave those values empty in the table"
                )

    @property
    def cleaning(self) -> Cleaning:
        """How the text of the table is read."""
        return Cleaning(missing=MISSING_TEXT.union(self.missing))

    def refuse_for(self, what: str, *, allowed: tuple[str, ...] = ()) -> None:
        """Raise PipelineError where an option is given that means nothing for such a table."""
        for option in fields(self):
            if getattr(self, option.name) != option.default and option.name not in allowed:
                name = option.name.replace("_", "-")
                raise PipelineError(f"--{name} goes with delimited text, found {what}; leave it out")


#: Nothing is said: all is found out.
FIND = ReadOptions()
