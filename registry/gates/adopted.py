"""The gate ``adopted``: whether the policy takes a version that was logged without this platform."""

from registry.evidence import adoption
from registry.gates.context import Answer, GateContext
from registry.stages import PRODUCTION


def adopted(context: GateContext) -> Answer:
    """The policy allows what is not known of the version; the reason says what that is."""
    caveat = adoption.caveat(context.document.holdout)
    if context.stage == PRODUCTION and context.policy.adopted == "refused":
        return False, f"{caveat}; the policy refuses such versions in Production (`adopted: refused`)"
    return True, f"{caveat}; the policy allows it"
