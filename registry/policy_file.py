"""Which file the policy is in: the one that is named, the working folder's, or the one that is shipped."""

import os
from pathlib import Path

#: The variable that names another policy file.
VARIABLE = "LIFECYCLE_POLICY"
#: A policy of this name is found in the working folder.
FILE = "policy.yaml"
SHIPPED = Path(__file__).with_name("policy.yaml")


def locate(path: str | Path | None = None) -> Path:
    """The policy's file: the one given, else ``LIFECYCLE_POLICY``, else the working folder's, else the shipped one."""
    named = path or os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    here = Path(FILE)
    return here if here.is_file() else SHIPPED
