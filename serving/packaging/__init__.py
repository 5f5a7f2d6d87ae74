"""Package a version for a target: a plan, then a build.

``plan`` fetches a model, checks that its gates passed, and lists the files, sizes, settings and permissions of a
package; it writes nothing and calls no cloud. ``build`` writes the files of a plan. ``TARGETS`` are the targets by
name, with their options; a new one is a module with a ``TARGET`` and a line in ``targets``.
"""

from .building import build
from .model import PackagedModel
from .options import Setting, Target
from .plan import Built, File, Limit, PackagePlan, Permission
from .planning import plan
from .targets import TARGETS, target

__all__ = [
    "TARGETS",
    "Built",
    "File",
    "Limit",
    "PackagedModel",
    "Setting",
    "PackagePlan",
    "Permission",
    "Target",
    "build",
    "plan",
    "target",
]
