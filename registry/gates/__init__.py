"""Gates: evidence -> verdict. Each is a small pure function that measures nothing and says in words why."""

from registry.gates.judge import judge
from registry.gates.verdict import GateResult, Verdict

__all__ = ["GateResult", "Verdict", "judge"]
