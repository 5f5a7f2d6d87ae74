"""Which columns are features, and why the others are not."""

import re

import numpy as np

from pipelines import dates, spelling
from pipelines.columns import DATE, EXACT, NESTED, TypedColumn
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
# What is called as identifiers are is one where its values differ this much: more than so many, and fewer than 20 rows
# for each; or so many that no table has them as categories.
_FEWEST_IDENTIFIERS = 10
_SHARE_OF_IDENTIFIERS = 0.05
_MANY_IDENTIFIERS = 1000
_NEARLY_UNIQUE = 0.5
_FEW = 20
_OVERRULE = "--keep overrules"
_DECIDE = "--drop leaves it out, --keep says that this is right"

#: Why a column is no feature that its user drops, whatever it holds.
DROPPED = "dropped as asked"


def reason(column: TypedColumn, *, role: bool, kept: bool, rows: int) -> str | None:
    """Why a column would not be a feature; None where it would be one, unless it is dropped.

    Parameters
    ----------
    role, kept : whether its user gives it a role, or keeps what looks like an identifier.
    rows : how many rows the table had before any were dropped.
    """
    if role:
        return "it tells rows apart (--id, --group or --time)"
    if column.type == NESTED:
        return "its values are not single numbers or texts"
    if column.type == DATE:
        as_text = "" if column.values.dtype.kind == "M" else ", or --keep takes each as a category"
        return f"dates or times; derive numbers from them to use them{as_text}"
    return _of_numbers(column, kept, rows) if column.type != CATEGORY else _of_texts(column, kept)


def _of_numbers(column: TypedColumn, kept: bool, rows: int) -> str | None:
    numbers = column.values.to_numpy()
    missing = int(np.isnan(numbers).sum())
    if missing == len(numbers):
        return "missing throughout"
    low, high = np.fmin.reduce(numbers), np.fmax.reduce(numbers)
    if low == high and not missing:
        beyond = column.integer and abs(high) >= EXACT
        return "one number in float64, which tells no whole numbers beyond 2^53 apart" if beyond else "constant"
    if kept or column.type != NUMBER:
        return None
    moments, sure = dates.as_numbers(column.name, numbers)
    if sure:
        return f"{moments}; derive amounts from them to use them, or --keep takes them as plain numbers"
    named, numbered = _IDENTIFIER.search(column.name), _numbering(column.name)
    # pandas writes whole numbers among which one is missing with a fraction of 0.
    whole = column.integer or (
        (named or numbered) and bool((np.floor(numbers) == numbers).sum() == len(numbers) - missing)
    )
    if not whole:
        return None
    if column.integer and max(high, -low) >= EXACT:
        return f"whole numbers beyond 2^53, which float64 cannot tell apart; {_OVERRULE}"
    known = len(numbers) - missing
    # From 0 or 1 on, none beyond the number of rows: then all different means a numbering of the rows.
    counting = low in (0, 1) and high <= low + rows - 1 and not missing
    if not (named or numbered or counting) or known <= _FEW:
        return None
    distinct = column.values.nunique()
    if distinct == known:
        return f"{'a row number' if counting else 'an identifier'}; {_OVERRULE}"
    return f"an identifier; {_OVERRULE}" if named and _identifies(distinct, known) else None


def _of_texts(column: TypedColumn, kept: bool) -> str | None:
    known = column.values.dropna()
    if known.empty:
        return "missing throughout"
    distinct = known.nunique()
    if distinct == 1 and len(known) == len(column.values):
        return "constant"
    if kept:
        return None
    unique = distinct == len(known)
    named = (
        bool(_IDENTIFIER.search(column.name)) and len(known) > _FEW and (unique or _identifies(distinct, len(known)))
    )
    if named or (unique and distinct > _FEW and _numbering(column.name)):
        return f"an identifier; {_OVERRULE}"
    if distinct <= _FEW:
        return None
    if distinct > _NEARLY_UNIQUE * len(known):
        hint = spelling.described(known)
        if hint:
            return f"{hint.what}, read as text; {hint.remedy}"
        return f"nearly unique text ({distinct} different in {len(known)}); {_OVERRULE}"
    return None


def notes(column: TypedColumn, *, kept: bool) -> list[str]:
    """What a person should know of a column that is a feature, a sentence each.

    Parameters
    ----------
    kept : whether its user has decided on it.
    """
    if column.type == CATEGORY:
        hint = spelling.described(column.values.dropna())
        return [f"{column.name!r} holds {hint.what}, taken as categories; {hint.remedy}"] if hint else []
    if column.type != NUMBER or kept:
        return []
    sentences = []
    if moments := dates.as_numbers(column.name, column.values.to_numpy())[0]:
        sentences.append(f"{column.name!r} may hold {moments}, taken as amounts; {_DECIDE}")
    elif column.integer and _IDENTIFIER.search(column.name) and (distinct := column.values.nunique()) > 2:
        sentences.append(
            f"{column.name!r} is named as identifiers are ({distinct} different in {column.values.count()}), "
            f"taken as amounts; {_DECIDE}"
        )
    return sentences


def _identifies(distinct: int, known: int) -> bool:
    """Whether so many different values among those known name things rather than sort them."""
    few_rows = distinct > _FEWEST_IDENTIFIERS and distinct > _SHARE_OF_IDENTIFIERS * known
    return few_rows or distinct > _MANY_IDENTIFIERS


def _numbering(name: str) -> bool:
    return bool(_NUMBERING.search(name)) and not _PLACE.search(name)


def is_identifier_by_name(name: str) -> bool:
    """Whether a column is called as identifiers are, whatever it holds."""
    return bool(_IDENTIFIER.search(name)) or _numbering(name)
