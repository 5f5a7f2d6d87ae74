"""Programs of the system that some tests need, and this project does not bring."""

import os
import shutil

import pytest


def need(program: str) -> str:
    """The path of a program; where it is missing the test is skipped, and on CI, which installs them, it fails."""
    path = shutil.which(program)
    if path is None:
        message = f"{program} is not installed on this system"
        if os.environ.get("CI") == "true":
            pytest.fail(message + "; .ci/run installs it")
        pytest.skip(message)
    return path
