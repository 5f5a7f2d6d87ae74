"""Fixtures of the tests of exports."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.serving.scorecard import databases


@pytest.fixture(scope="module")
def opened(request: pytest.FixtureRequest) -> Iterator[Callable[[str], databases.Database]]:
    """A database by its dialect, opened when it is first asked for."""
    with contextlib.ExitStack() as stack:
        found: dict[str, databases.Database] = {}

        def get(dialect: str) -> databases.Database:
            if dialect not in found:
                server = {"postgres": "postgresql", "mariadb": "mariadb"}.get(dialect)
                url = request.getfixturevalue(server) if server else ""
                found[dialect] = stack.enter_context(databases.opened(dialect, url))
            return found[dialect]

        yield get
