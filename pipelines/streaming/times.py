"""The times of a table that is read in parts: what each value of the column means, and the moment that cuts it."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import columns, dates, raw_values
from pipelines.errors import PipelineError
from pipelines.sources import Table

# Different times are kept in memory, about 50 bytes each.
_MOST = 20_000_000


class Times:
    """The moments of a column of times, whose different values were all seen.

    Attributes
    ----------
    moments, counts : shape (n_moments,): the different moments, ascending, and how many rows each has.
    """

    def __init__(self, name: str, parts: Iterable[pa.ChunkedArray], sample: Table) -> None:
        """Look at the column's values in the rows that have a target.

        Raises
        ------
        PipelineError
            if a row has no time, a value is none, or there are too many different ones.
        """
        seen: pa.Table | None = None
        for raw in parts:
            found = raw_values.decoded(raw).value_counts()
            new = pa.table({"value": found.field("values"), "count": found.field("counts")})
            seen = new if seen is None else pa.concat_tables([seen, new], promote_options="permissive")
            if seen.num_rows > _MOST:
                seen = _merged(seen)
            if seen.num_rows > _MOST:
                raise PipelineError(
                    f"--time {name}: more than {_MOST:,} different times do not fit into memory; name a coarser column"
                )
        assert seen is not None
        seen = _merged(seen)
        self._values = seen["value"].combine_chunks()
        counts = seen["count"].to_numpy()
        typed = columns.infer(name, seen["value"], sample.cleaning, sample.marks_of(name)).values
        if absent := int(counts[typed.isna().to_numpy()].sum()):
            raise PipelineError(f"--time {name}: {absent} rows have no time; drop or complete them")
        self._moments = dates.moments(typed, name)
        self.moments, places = np.unique(self._moments, return_inverse=True)
        self.counts = np.bincount(places, counts).astype("int64")

    def of(self, raw: pa.ChunkedArray) -> np.ndarray:
        """The moment of each row, shape (n_rows,); of a value that was not seen, any."""
        raw = raw_values.decoded(raw)
        places = pc.index_in(raw.cast(self._values.type), value_set=self._values).combine_chunks()
        return self._moments[places.fill_null(0).to_numpy(zero_copy_only=False)]


def _merged(seen: pa.Table) -> pa.Table:
    """Each value once."""
    return seen.group_by("value").aggregate([("count", "sum")]).rename_columns(["value", "count"])
