"""The helpers of an exported Python file, which takes those that its model needs from below the line.

An exported file runs on any Python 3 and imports nothing but math.
"""

import math

# What an exported file defines for its model.
INPUTS, COLUMNS, LAYERS, INTERCEPTS, CLASSES = [], [], [], [], []
TRIM, MISSING, ANYBODY = True, frozenset(), ""
ABSENT = SEVERAL = REQUIRED = INFINITE = FRACTION = UNKNOWN = UNUSABLE = OVERFLOW = UNPREDICTABLE = ""

# ------------------------------------------------------------------------------------------------------------------


class InputError(ValueError):
    """A value, or a column, that the model cannot take."""

    def __init__(self, column, reason):
        self.column, self.reason = column, reason
        super().__init__("column %r: %s" % (column, reason))


NAMES = frozenset([item["name"] for item in INPUTS])


def _named(row):
    names = list(row.keys())
    if NAMES.issuperset(names):
        return row
    own = {}
    for place, name in enumerate(names):
        if name not in NAMES and isinstance(name, str):
            meant = name.strip() or "Unnamed: %d" % place
            if meant in NAMES:
                if meant in names or meant in own.values():
                    raise InputError(meant, SEVERAL)
                own[name] = meant
    return {own.get(name, name): row[name] for name in names} if own else row


def _raw(row, item):
    name = item["name"]
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
        if not item["null"]:
            raise InputError(name, REQUIRED)
        return None
    return raw


def _kind(raw):
    for kinds, text in ((bool, "a boolean"), ((int, float), "a number"), (str, "text"), ((list, tuple), "a list")):
        if isinstance(raw, kinds):
            return text
    return "an object" if isinstance(raw, dict) else "a " + type(raw).__name__


def _number(row, item, plain=None):
    name, raw = item["name"], _raw(row, item)
    if raw is None:
        return math.nan
    if isinstance(raw, str):
        text, raw = plain(raw, item) if plain else raw, None
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
    if item["integer"] and not value.is_integer():
        raise InputError(name, FRACTION)
    return value


def _plain(text, item):
    decimal, thousands = item.get("decimal", "."), item.get("thousands", "")
    whole, mark, fraction = text.partition(decimal)
    if thousands and thousands in whole:
        sign = whole[0] if whole[0] in "+-" else ""
        groups = whole[len(sign) :].split(thousands)
        first, middle, last, digits = groups[0], groups[1:-1], groups[-1], "".join(groups)
        alike = all(len(group) == 3 for group in middle)
        alike = alike or len(first) < 3 and all(len(group) == 2 for group in middle)
        grouped = 0 < len(first) <= 3 and first[0] != "0" and len(last) == 3 and alike
        if not grouped or set(digits + fraction) - set("0123456789"):
            return ""
        whole = sign + digits
    if decimal != "." and "." in whole + fraction:
        return ""
    return whole + "." + fraction if mark else whole


def _marked(row, item):
    return _number(row, item, _plain)


def _boolean(row, item):
    name, raw = item["name"], _raw(row, item)
    if raw is None:
        return math.nan
    if isinstance(raw, str):
        raw = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}.get(raw.lower(), raw)
    if isinstance(raw, (bool, int, float)) and raw in (0, 1):
        return float(raw)
    raise InputError(name, "expected true or false, found " + _kind(raw))


def _category(row, item):
    name, raw = item["name"], _raw(row, item)
    if raw is None or isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        text = "true" if raw else "false"
    elif isinstance(raw, float):
        text = str(int(raw)) if raw.is_integer() else float.__repr__(raw)
    elif isinstance(raw, int):
        try:
            text = int.__repr__(raw)
        except ValueError:
            raise InputError(name, "expected text, found a number that is too long") from None
    else:
        raise InputError(name, "expected text, found " + _kind(raw))
    return _raw({name: text}, item)


def _find(table, x, other, name):
    if type(x) is float and x - x != 0.0:
        if x == x:
            raise InputError(name, UNUSABLE)
        x = None
    found = table.get(x, other)
    if found is None:
        raise InputError(name, UNKNOWN)
    return found


def _is(x, value, name):
    if type(x) is float and x - x != 0.0:
        if x == x:
            raise InputError(name, UNUSABLE)
        x = None
    return 1.0 if x == value else 0.0


def _usable(x, name):
    if x - x != 0.0:
        raise InputError(name, UNUSABLE)


def _clip(x, low, high, name):
    if x - x != 0.0 and x == x:
        raise InputError(name, UNUSABLE)
    return low if x < low else high if x > high else x


def _bin(edges, x, name):
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


def _piecewise(x, edges, origins, coefficients, name):
    if x != x:
        return x
    place = int(_bin(edges, x, name))
    if not coefficients[place]:
        raise InputError(name, UNUSABLE)
    distance, total = x - origins[place], 0.0
    for coefficient in reversed(coefficients[place]):
        total = total * distance + coefficient
    return total


def _combine(values, weights, offset):
    terms = [value * weight for value, weight in zip(values, weights)]
    terms.append(offset)
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return math.inf


def _largest(values):
    sizes = [abs(value) * max(map(abs, weights)) for value, (_, weights) in zip(values, COLUMNS)]
    return COLUMNS[sizes.index(max(sizes))][0] if sizes else ANYBODY


def _refused(values):
    for value, (name, _) in zip(values, COLUMNS):
        if value - value != 0.0:
            return InputError(name, UNUSABLE)
    return InputError(_largest(values), OVERFLOW)


def _sum(terms, values):
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):
        total = math.nan
    if total - total != 0.0:
        raise _refused(values)
    return total


def _place_of_largest(values):
    return values.index(max(values))


def _logistic(z):
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


def _relu(x):
    return x if x > 0.0 else 0.0


def _identity(x):
    return x


def _binary(margins):
    p = _logistic(margins[0])
    return [1.0 - p, p]


def _softmax(margins):
    largest = max(margins)
    powers = [math.exp(z - largest) for z in margins]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _shares(found):
    total = sum(found)
    return [p / total for p in found] if total > 0.0 else [1.0 / len(found)] * len(found)


def _complement(found):
    return [1.0 - found[0], found[0]]


def _normalised(margins):
    return _shares([_logistic(z) for z in margins])


def _mean(members, scores):
    found = [0.0] * len(CLASSES)
    for weight, first, last, link, adjust, calibration in members:
        for place, p in enumerate(link(adjust(scores[first:last], calibration))):
            found[place] += weight * p
    total = sum([member[0] for member in members])
    return [p / total for p in found]


def _log(x):
    return math.log(x) if x > 0.0 else -math.inf if x == 0.0 else math.nan


def _log2(x):
    return math.log2(x) if x > 0.0 else -math.inf if x == 0.0 else math.nan


def _log10(x):
    return math.log10(x) if x > 0.0 else -math.inf if x == 0.0 else math.nan


def _log1p(x):
    return math.log1p(x) if x > -1.0 else -math.inf if x == -1.0 else math.nan


def _exp(x):
    try:
        return math.exp(x)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _expm1(x):
    try:
        return math.expm1(x)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _sqrt(x):
    try:
        return math.sqrt(x)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _sin(x):
    try:
        return math.sin(x)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _cos(x):
    try:
        return math.cos(x)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _cbrt(x):
    return math.cbrt(x)


def _square(x):
    return x * x


def _abs(x):
    return abs(x)


def _tanh(x):
    return math.tanh(x)


def _arcsinh(x):
    return math.asinh(x)


def _sign(x):
    return x if x != x or x == 0.0 else math.copysign(1.0, x)


def _negative(x):
    return -x


def _reciprocal(x):
    return 1.0 / x if x else math.copysign(math.inf, x)


def _yeo_johnson(x, lmbda):
    if x - x != 0.0:
        return x
    if x >= 0.0:
        if abs(lmbda) < 2.220446049250313e-16:
            return math.log1p(x)
        return _expm1(lmbda * math.log1p(x)) / lmbda
    if abs(lmbda - 2.0) > 2.220446049250313e-16:
        return -_expm1((2.0 - lmbda) * math.log1p(-x)) / (2.0 - lmbda)
    return -math.log1p(-x)


def _box_cox(x, lmbda):
    if x - x != 0.0:
        return x
    if x <= 0.0:
        return math.inf
    if abs(lmbda) < 1e-19:
        return math.log(x)
    return _expm1(lmbda * math.log(x)) / lmbda


def _power(base, exponent):
    try:
        found = base**exponent
    except (ZeroDivisionError, OverflowError):
        return math.inf
    return math.nan if isinstance(found, complex) else found


def _inverse_yeo_johnson(x, lmbda):
    if x >= 0.0:
        if abs(lmbda) < 2.220446049250313e-16:
            return _exp(x) - 1.0
        return _power(x * lmbda + 1.0, 1.0 / lmbda) - 1.0
    if abs(lmbda - 2.0) > 2.220446049250313e-16:
        return 1.0 - _power(-(2.0 - lmbda) * x + 1.0, 1.0 / (2.0 - lmbda))
    return 1.0 - _exp(-x)


def _inverse_box_cox(x, lmbda):
    return _exp(x) if lmbda == 0.0 else _exp(_log1p(lmbda * x) / lmbda)


def _unchanged(scores, calibration):
    return scores


def _margins(scores, lines):
    return [slope * score + offset for (slope, offset), score in zip(lines, scores)]


def _points(scores, curves):
    return [_piecewise(score, *curve, ANYBODY) for curve, score in zip(curves, scores)]


def _linear_scores(values, hot):
    found = []
    for k, intercept in enumerate(INTERCEPTS):
        terms = [value * weights[k] for value, (_, weights) in zip(values, COLUMNS)]
        found.append(_sum([intercept] + terms + [weights[k] for weights in hot], values))
    return found


def _network_scores(values, activate):
    current = values
    for place, (weights, intercepts) in enumerate(LAYERS):
        found = []
        for row, intercept in zip(weights, intercepts):
            unit = _sum([w * x for w, x in zip(row, current)], values) + intercept
            if unit - unit != 0.0:
                raise _refused(values)
            found.append(unit)
        current = found if place == len(LAYERS) - 1 else [activate(unit) for unit in found]
    return current
