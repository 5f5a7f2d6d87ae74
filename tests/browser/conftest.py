"""A real browser for tests of pages: Chromium, steered by Playwright; without one a test skips and says why."""

import os
import shutil
from collections.abc import Iterator

import pytest

#: Names under which systems install it.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: How long a page may take for anything, in milliseconds.
PATIENCE = 30_000


def program() -> str:
    """The browser's program; a test is skipped without one, and fails where CI is to have it."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        reason = f"no browser on this machine ({', '.join(PROGRAMS)}): apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """A browser that has been started, without a window.

    Of a module, for Playwright's event loop runs as long: no other test of the process could have one of its own.
    """
    executable = program()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its own sandbox wants rights that a container, or root, does not give; it opens our own pages only.
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        started = playwright.chromium.launch(executable_path=executable, args=flags)
        yield started
        started.close()


@pytest.fixture
def page(browser) -> Iterator:
    """An empty page, with nothing remembered from other tests."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    # A test opens pages of its own server only; whatever else they ask for is not to leave the machine.
    context.route(lambda url: not url.startswith(("http://127.0.0.1", "data:")), lambda route: route.abort())
    yield context.new_page()
    context.close()
