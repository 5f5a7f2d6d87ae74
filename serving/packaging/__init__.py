"""Packages: a version's plan for a target, its build, and the targets there are.

``plan`` fetches a model, checks that its gates passed, and says what a package of it would hold, ask for and cost in
size; it writes nothing and calls no cloud. ``build`` writes what a plan says. ``TARGETS`` are their names, with what
each is and which options it takes; a new one is a module with a ``TARGET`` and a line in ``targets``.
"""

from .building import build
from .model import Model
from .options import Option
from .plan import Built, File, Limit, Permission, Plan, plan
from .targets import TARGETS, Target, target

__all__ = [
    "TARGETS",
    "Built",
    "File",
    "Limit",
    "Model",
    "Option",
    "Permission",
    "Plan",
    "Target",
    "build",
    "plan",
    "target",
]
