"""Expectations and their answers in words: what was expected of a table, and what was found."""

_SHOWN = 5


def expected_text(expectation: dict) -> str:
    """What an expectation asks for, in words."""
    kind, kwargs = expectation["type"], expectation["kwargs"]
    text = _demand(kind, kwargs)
    mostly = kwargs.get("mostly")
    if isinstance(mostly, (int, float)) and mostly < 1:
        text += f", in at least {100 * mostly:.6g} % of {'rows' if kind.endswith('_null') else 'values'}"
    return text


def _demand(kind: str, kwargs: dict) -> str:
    if kind == "expect_column_to_exist":
        return "the column"
    if kind == "expect_column_values_to_not_be_null":
        return "a value"
    if kind == "expect_column_values_to_be_null":
        return "no value"
    if kind == "expect_column_values_to_be_unique":
        return "no value twice"
    if kind == "expect_table_columns_to_match_set":
        return f"the columns {_listed(kwargs.get('column_set') or [])}"
    if "type_" in kwargs:
        return f"type {kwargs['type_']}"
    if "type_list" in kwargs:
        return f"type {' or '.join(map(str, kwargs['type_list'] or []))}"
    if "value_set" in kwargs:
        verb = {"to_not_be_in_set": "none of", "to_contain_set": "all of", "to_equal_set": "exactly"}
        word = next((word for ending, word in verb.items() if kind.endswith(ending)), "one of")
        return f"{word} {_listed(kwargs['value_set'] or [])}"
    if kwargs.get("min_value") is not None or kwargs.get("max_value") is not None:
        return f"{_subject(kind)}{_between(kwargs)}"
    settings = {key: value for key, value in kwargs.items() if key not in ("column", "mostly")}
    return ", ".join(f"{key}={value!r}" for key, value in settings.items()) or kind.replace("_", " ")


def _subject(kind: str) -> str:
    """``mean `` for ``expect_column_mean_to_be_between``; nothing where it is about each value."""
    inner = kind.removeprefix("expect_").removesuffix("_to_be_between")
    inner = inner.removeprefix("column_").removeprefix("table_")
    return "" if inner in ("values", kind) else inner.replace("_", " ") + " "


def _between(kwargs: dict) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = "above" if kwargs.get("strict_min") else "at least"
    below = "below" if kwargs.get("strict_max") else "at most"
    if high is None:
        return f"{above} {show(low)}"
    if low is None:
        return f"{below} {show(high)}"
    if above == "at least" and below == "at most":
        return f"between {show(low)} and {show(high)}"
    return f"{above} {show(low)} and {below} {show(high)}"


def observed_text(answer: dict) -> str:
    """What an answer of Great Expectations (as JSON) found, in words, echoing at most five values."""
    result = answer.get("result") or {}
    kind = answer["expectation_config"]["type"]
    if kind == "expect_column_to_exist":
        return "the column" if answer["success"] else "no such column"
    if "unexpected_count" in result and "element_count" in result:
        return _counted(kind, result)
    if kind == "expect_table_columns_to_match_set":
        mismatched = (result.get("details") or {}).get("mismatched") or {}
        # Further columns are no fault unless the match is exact.
        exact = answer["expectation_config"]["kwargs"].get("exact_match", True)
        words = ("missing", "unexpected") if exact else ("missing",)
        return "; ".join(f"{_listed(mismatched[w])} {w}" for w in words if mismatched.get(w)) or "all of them"
    if result.get("partial_unexpected_list"):
        return f"also {_listed(result['partial_unexpected_list'])}"
    observed = result.get("observed_value")
    if isinstance(observed, list):
        return _listed(observed)
    if isinstance(observed, dict):
        return ", ".join(
            f"{key}: {_listed(value) if isinstance(value, list) else show(value)}" for key, value in observed.items()
        )
    if observed is None:
        return "what was expected" if answer["success"] else "no value to judge by"
    return show(observed) if not isinstance(observed, str) else observed


def _counted(kind: str, result: dict) -> str:
    unexpected, total = result["unexpected_count"] or 0, result["element_count"]
    if kind == "expect_column_values_to_not_be_null":
        return f"{unexpected} of {total} missing" + _percent(unexpected, total)
    total -= result.get("missing_count") or 0
    if not total:
        return "no values, all are missing"
    if not unexpected:
        return f"all of {total} values"
    found = dict.fromkeys(show(value) for value in result.get("partial_unexpected_list") or [])
    examples = f", such as {', '.join(list(found)[:_SHOWN])}" if found else ""
    return f"{unexpected} of {total} values unexpected{_percent(unexpected, total)}{examples}"


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.3g} %)" if part else ""


def _listed(values: list) -> str:
    shown = ", ".join(show(value) for value in values[:_SHOWN])
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown


def show(value: object) -> str:
    """A value in a sentence: short numbers, quoted text of at most 40 characters."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    return str(value)
