"""The places that a one-hot group gives to values, said once for every format."""


def coded(item: dict) -> tuple[dict, int | None]:
    """For each value that a group knows its place, -1 where all of the group is zero; and the place of all others.

    Parameters
    ----------
    item : the group, as the document says it. Numbers become floats; None is a missing value.

    Returns
    -------
    tuple
        The places by value, in the order of the group; and that of a value which is none of them, None where it is
        refused.
    """
    groups, otherwise = item["one_hot"], item["otherwise"]
    places = {_key(key): place for place, group in enumerate(groups) for key in group["of"]}
    places |= {_key(key): -1 for key in item["zero"]}
    if otherwise.get("do") == "refuse":
        return places, None
    names = [group["name"] for group in groups]
    return places, names.index(otherwise["is"]) if "is" in otherwise else -1


def _key(key):
    return key if key is None or isinstance(key, str) else float(key)
