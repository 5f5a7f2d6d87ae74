"""The fixed parts of an exported Python file, each with the names of the parts it needs."""

HEAD = '''"""A {task} model in one file: it imports nothing but math, and answers as its scorecard does.

    import this_file
    this_file.predict({{"column": value, ...}})

Made from the scorecard {digest}. INPUTS says which columns there are.
"""
'''

_INPUT_ERROR = '''class InputError(ValueError):
    """A value, or a column, that the model cannot take."""

    def __init__(self, column, reason):
        self.column, self.reason = column, reason
        super().__init__("column %r: %s" % (column, reason))
'''

_RAW = """def _raw(row, name, null):
    try:
        raw = row[name]
    except KeyError:
        raise InputError(name, ABSENT) from None
    if isinstance(raw, str):
        raw = raw.strip() if TRIM else raw
        raw = None if raw in MISSING else raw
    elif hasattr(raw, "dtype") and getattr(raw, "shape", None) == ():
        raw = raw.item()
    elif type(raw).__name__ in ("NAType", "NaTType"):
        raw = None
    elif type(raw).__name__ == "Decimal":
        raw = float(raw)
    if raw is None or (isinstance(raw, float) and raw != raw):
        if not null:
            raise InputError(name, REQUIRED)
        return None
    return raw
"""

_KIND = """def _kind(raw):
    for kinds, text in ((bool, "a boolean"), ((int, float), "a number"), (str, "text"), ((list, tuple), "a list")):
        if isinstance(raw, kinds):
            return text
    return "an object" if isinstance(raw, dict) else "a " + type(raw).__name__
"""

_NUMBER = """def _number(row, name, integer, null):
    raw = _raw(row, name, null)
    if raw is None:
        return math.nan
    if isinstance(raw, str):
        text, raw = raw, None
        if not set(text) - set("0123456789+-.eE"):
            try:
                raw = float(text)
            except ValueError:
                pass
        elif text.lower().lstrip("+-") in ("inf", "infinity") and len(text.lstrip("+-")) >= len(text) - 1:
            raw = math.inf
        if raw is None:
            raise InputError(name, "expected a number, found text")
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise InputError(name, "expected a number, found " + _kind(raw))
    try:
        value = float(raw)
    except OverflowError:
        value = math.inf
    if value - value != 0.0:
        raise InputError(name, INFINITE)
    if integer and not value.is_integer():
        raise InputError(name, FRACTION)
    return value
"""

_BOOLEAN = """def _boolean(row, name, integer, null):
    raw = _raw(row, name, null)
    if raw is None:
        return math.nan
    if isinstance(raw, str):
        raw = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}.get(raw.lower(), raw)
    if isinstance(raw, (bool, int, float)) and raw in (0, 1):
        return float(raw)
    raise InputError(name, "expected true or false, found " + _kind(raw))
"""

_CATEGORY = """def _category(row, name, integer, null):
    raw = _raw(row, name, null)
    if raw is not None and not isinstance(raw, str):
        raise InputError(name, "expected text, found " + _kind(raw))
    return raw
"""

_FIND = """def _find(table, x, other, name):
    if type(x) is float and x - x != 0.0:
        if x == x:
            raise InputError(name, UNUSABLE)
        x = None
    found = table.get(x, other)
    if found is None:
        raise InputError(name, UNKNOWN)
    return found
"""

_IS = """def _is(x, value, name):
    if type(x) is float and x - x != 0.0:
        if x == x:
            raise InputError(name, UNUSABLE)
        x = None
    return 1.0 if x == value else 0.0
"""

_USABLE = """def _usable(x, name):
    if x - x != 0.0:
        raise InputError(name, UNUSABLE)
"""

_CLIP = """def _clip(x, low, high, name):
    if x - x != 0.0 and x == x:
        raise InputError(name, UNUSABLE)
    return low if x < low else high if x > high else x
"""

_BIN = """def _bin(edges, x, name):
    if x - x != 0.0:
        raise InputError(name, UNUSABLE)
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if x < edges[middle]:
            high = middle
        else:
            low = middle + 1
    return float(low)
"""

_LARGEST = """def _largest(values, blames):
    sizes = [abs(value) * most for value, (_, most) in zip(values, blames)]
    return blames[sizes.index(max(sizes)) if sizes else 0][0]
"""

_REFUSE = """def _refuse(values, blames):
    for value, (name, _) in zip(values, blames):
        if value - value != 0.0:
            return InputError(name, UNUSABLE)
    return InputError(_largest(values, blames), OVERFLOW)
"""

_SUM = """def _sum(terms, values, blames):
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):
        total = math.nan
    if total - total != 0.0:
        raise _refuse(values, blames)
    return total
"""

_FORWARD = """def _forward(values, layers, activation, blames):
    current = values
    for place, (weights, intercepts) in enumerate(layers):
        found = []
        for row, intercept in zip(weights, intercepts):
            unit = _sum([w * x for w, x in zip(row, current)], values, blames) + intercept
            if unit - unit != 0.0:
                raise _refuse(values, blames)
            found.append(unit)
        current = found if place == len(layers) - 1 else [activation(unit) for unit in found]
    return current
"""

_LOGISTIC = """def _logistic(z):
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)
"""

_BINARY = """def _binary(margins):
    p = _logistic(margins[0])
    return [1.0 - p, p]
"""

_SOFTMAX = """def _softmax(margins):
    largest = max(margins)
    powers = [math.exp(z - largest) for z in margins]
    total = math.fsum(powers)
    return [power / total for power in powers]
"""

_NORMALISED = """def _normalised(margins):
    found = [_logistic(z) for z in margins]
    total = sum(found)
    return [p / total for p in found] if total > 0.0 else [1.0 / len(found)] * len(found)
"""

_YEO_JOHNSON = """def _yeo_johnson(x, lmbda):
    if x - x != 0.0:
        return x
    if x >= 0.0:
        if abs(lmbda) < 2.220446049250313e-16:
            return math.log1p(x)
        return _expm1(lmbda * math.log1p(x)) / lmbda
    if abs(lmbda - 2.0) > 2.220446049250313e-16:
        return -_expm1((2.0 - lmbda) * math.log1p(-x)) / (2.0 - lmbda)
    return -math.log1p(-x)
"""

_BOX_COX = """def _box_cox(x, lmbda):
    if x - x != 0.0:
        return x
    if x <= 0.0:
        return math.inf
    if abs(lmbda) < 1e-19:
        return math.log(x)
    return _expm1(lmbda * math.log(x)) / lmbda
"""

_POWER = """def _power(base, exponent):
    try:
        found = base**exponent
    except (ZeroDivisionError, OverflowError):
        return math.inf
    return math.nan if isinstance(found, complex) else found
"""

_INVERSE_YEO_JOHNSON = """def _inverse_yeo_johnson(x, lmbda):
    if x >= 0.0:
        if abs(lmbda) < 2.220446049250313e-16:
            return _exp(x) - 1.0
        return _power(x * lmbda + 1.0, 1.0 / lmbda) - 1.0
    if abs(lmbda - 2.0) > 2.220446049250313e-16:
        return 1.0 - _power(-(2.0 - lmbda) * x + 1.0, 1.0 / (2.0 - lmbda))
    return 1.0 - _exp(-x)
"""

_INVERSE_BOX_COX = """def _inverse_box_cox(x, lmbda):
    return _exp(x) if lmbda == 0.0 else _exp(_log1p(lmbda * x) / lmbda)
"""


def _logarithm(name: str, pole: str) -> str:
    return f"def _{name}(x):\n    return math.{name}(x) if x > {pole} else -math.inf if x == {pole} else math.nan\n"


def _guarded(name: str) -> str:
    return (
        f"def _{name}(x):\n    try:\n        return math.{name}(x)\n"
        "    except ValueError:\n        return math.nan\n    except OverflowError:\n        return math.inf\n"
    )


def _plain(name: str, expression: str) -> str:
    return f"def _{name}(x):\n    return {expression}\n"


#: Each part's text, and the parts it needs before it.
PARTS = {
    "InputError": (_INPUT_ERROR, ()),
    "_kind": (_KIND, ()),
    "_raw": (_RAW, ("InputError",)),
    "_number": (_NUMBER, ("_raw", "_kind")),
    "_boolean": (_BOOLEAN, ("_raw", "_kind")),
    "_category": (_CATEGORY, ("_raw", "_kind")),
    "_find": (_FIND, ("InputError",)),
    "_is": (_IS, ("InputError",)),
    "_usable": (_USABLE, ("InputError",)),
    "_clip": (_CLIP, ("InputError",)),
    "_bin": (_BIN, ("InputError",)),
    "_largest": (_LARGEST, ()),
    "_refuse": (_REFUSE, ("InputError", "_largest")),
    "_sum": (_SUM, ("_refuse",)),
    "_forward": (_FORWARD, ("_sum",)),
    "_logistic": (_LOGISTIC, ()),
    "_relu": (_plain("relu", "x if x > 0.0 else 0.0"), ()),
    "_identity": (_plain("identity", "x"), ()),
    "_binary": (_BINARY, ("_logistic",)),
    "_softmax": (_SOFTMAX, ()),
    "_normalised": (_NORMALISED, ("_logistic",)),
    "_log": (_logarithm("log", "0.0"), ()),
    "_log2": (_logarithm("log2", "0.0"), ()),
    "_log10": (_logarithm("log10", "0.0"), ()),
    "_log1p": (_logarithm("log1p", "-1.0"), ()),
    "_exp": (_guarded("exp"), ()),
    "_expm1": (_guarded("expm1"), ()),
    "_sqrt": (_guarded("sqrt"), ()),
    "_sin": (_guarded("sin"), ()),
    "_cos": (_guarded("cos"), ()),
    "_cbrt": (_plain("cbrt", "math.cbrt(x)"), ()),
    "_square": (_plain("square", "x * x"), ()),
    "_abs": (_plain("abs", "abs(x)"), ()),
    "_tanh": (_plain("tanh", "math.tanh(x)"), ()),
    "_arcsinh": (_plain("arcsinh", "math.asinh(x)"), ()),
    "_sign": (_plain("sign", "x if x != x or x == 0.0 else math.copysign(1.0, x)"), ()),
    "_negative": (_plain("negative", "-x"), ()),
    "_yeo_johnson": (_YEO_JOHNSON, ("_expm1",)),
    "_box_cox": (_BOX_COX, ("_expm1",)),
    "_power": (_POWER, ()),
    "_inverse_yeo_johnson": (_INVERSE_YEO_JOHNSON, ("_exp", "_power")),
    "_inverse_box_cox": (_INVERSE_BOX_COX, ("_exp", "_log1p")),
}


def needed(names) -> list[str]:
    """The texts of these parts and of all that they need, each after those."""
    found: dict[str, str] = {}

    def add(name):
        if name not in found:
            source, before = PARTS[name]
            for other in before:
                add(other)
            found[name] = source

    for name in sorted(names):
        add(name)
    return list(found.values())
