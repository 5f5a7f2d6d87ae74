"""What tests of the pipelines share."""

import pytest


@pytest.fixture
def steps(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The platform's log of the test; its ``messages`` are the steps that a command shows."""
    caplog.set_level("INFO", "model_lifecycle")
    return caplog
