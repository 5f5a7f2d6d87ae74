"""Gates: evidence -> verdict. Each is a small pure function that measures nothing and says in words why."""

from registry.gates.table import NAMES, judge
from registry.gates.verdict import Evidence, Result, Verdict

__all__ = ["NAMES", "Evidence", "Result", "Verdict", "judge"]
