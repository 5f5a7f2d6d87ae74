"""Fixtures of the handlers' tests."""

from collections.abc import Iterator

import pytest
from moto import mock_aws


@pytest.fixture
def simulated_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS as moto has it, for boto3 in this process."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        # The only one in which S3 makes a bucket without being told where.
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield
