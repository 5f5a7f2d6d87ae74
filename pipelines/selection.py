"""Which columns are features, and why the others are not."""

import re

import numpy as np

from pipelines import columns
from pipelines.columns import DATE, NESTED, Column
from serving.scorecard.inputs import CATEGORY, NUMBER

# Names of identifiers: customer_id, "Customer ID", customerId, id, uuid, id_customer.
_IDENTIFIER = re.compile(
    r"(?i:(^|[\s_.\-])(ids?|uuid|guid)$|^(id|uuid|guid)[\s_.\-])|[a-z0-9](Id|ID|IDs|Ids|Uuid|UUID|Guid|GUID)$", re.ASCII
)
# Names of identifiers where every value differs: invoice_no, RowNumber, serial, key, index, and what pandas calls an
# index that it lost.
_NUMBERING = re.compile(
    r"(?i:(^|[\s_.\-])(no|nr|num|number|serial|key|index|idx|row|rowid|rownum)\.?$)|[a-z](No|Nr|Num|Number|Key|Index)$"
    r"|^Unnamed: \d+$|^__index_level_\d+__$",
    re.ASCII,
)
# A number of something that is measured: where someone lives tells more than which row it is.
_PLACE = re.compile(r"(?i:house|street|flat|room|door|apartment|building|floor|unit|block|zip|postal|post)", re.ASCII)
_MOST_IDENTIFIERS = 50
_NEARLY_UNIQUE = 0.5
_FEW = 20
_EXACT = 2**53
_OVERRULE = "--keep overrules"


def reason(column: Column, *, dropped: bool, role: bool, kept: bool, rows: int) -> str | None:
    """Why a column is not a feature; None where it is one.

    Parameters
    ----------
    dropped, role, kept : whether its user drops it, gives it a role, or keeps what looks like an identifier.
    rows : how many rows the table had before any were dropped.
    """
    if dropped:
        return "dropped as asked"
    if role:
        return "it tells rows apart (--id, --group or --time)"
    if column.type == NESTED:
        return "its values are not single numbers or texts"
    if column.type == DATE:
        return "dates or times; derive numbers from them to use them"
    return _of_numbers(column, kept, rows) if column.type != CATEGORY else _of_texts(column, kept)


def _of_numbers(column: Column, kept: bool, rows: int) -> str | None:
    numbers = column.values.to_numpy()
    missing = int(np.isnan(numbers).sum())
    if missing == len(numbers):
        return "missing throughout"
    low, high = np.fmin.reduce(numbers), np.fmax.reduce(numbers)
    if low == high and not missing:
        beyond = column.integer and abs(high) >= _EXACT
        return "one number in float64, which tells no whole numbers beyond 2^53 apart" if beyond else "constant"
    if kept or column.type != NUMBER or not column.integer:
        return None
    if max(high, -low) >= _EXACT:
        return f"whole numbers beyond 2^53, which float64 cannot tell apart; {_OVERRULE}"
    known = len(numbers) - missing
    named, numbered = _IDENTIFIER.search(column.name), _numbering(column.name)
    # From 0 or 1 on, none beyond the number of rows: then all different means a numbering of the rows.
    counting = low in (0, 1) and high <= low + rows - 1 and not missing
    if not (named or numbered or counting) or known <= _FEW:
        return None
    distinct = column.values.nunique()
    if distinct == known:
        return f"{'a row number' if counting else 'an identifier'}; {_OVERRULE}"
    return f"an identifier; {_OVERRULE}" if named and distinct > _MOST_IDENTIFIERS else None


def _of_texts(column: Column, kept: bool) -> str | None:
    known = column.values.dropna()
    if known.empty:
        return "missing throughout"
    distinct = known.nunique()
    if distinct == 1 and len(known) == len(column.values):
        return "constant"
    if kept or distinct <= _FEW:
        return None
    unique = distinct == len(known)
    if (_IDENTIFIER.search(column.name) and (unique or distinct > _MOST_IDENTIFIERS)) or (
        _numbering(column.name) and unique
    ):
        return f"an identifier; {_OVERRULE}"
    if distinct > _NEARLY_UNIQUE * len(known):
        hint = columns.spelling(known)
        if hint:
            return f"{hint}, read as text; write them as 1234.5 to use them"
        return f"nearly unique text ({distinct} different in {len(known)}); {_OVERRULE}"
    return None


def note(column: Column) -> str | None:
    """What a person should know of a column that is a feature; None where there is nothing."""
    if column.type != CATEGORY:
        return None
    hint = columns.spelling(column.values.dropna())
    return f"{column.name!r} holds {hint}, taken as categories; write them as 1234.5 for numbers" if hint else None


def _numbering(name: str) -> bool:
    return bool(_NUMBERING.search(name)) and not _PLACE.search(name)


def is_identifier_by_name(name: str) -> bool:
    """Whether a column is called as identifiers are, whatever it holds."""
    return bool(_IDENTIFIER.search(name)) or _numbering(name)
