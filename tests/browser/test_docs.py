"""The page that explains the API, used as a person does: open it, choose an example, execute it."""

import pytest

from serving.server.guard.admission import Admission
from serving.server.guard.keyring import Keyring
from serving.server.guard.keys import make, write
from tests.browser.contrast import faint
from tests.serving.server import cards
from tests.serving.server.running import Running, running

SERVED = cards.served(
    cards.model("flowers", cards.flowers()), cards.model("people", cards.people(), challenger=cards.people(1))
)


class Watched:
    """A page, what it complained of, and whom it asked."""

    def __init__(self, page):
        self.page, self.complaints, self.hosts = page, [], set()
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda asked: self.hosts.add(asked.url.split("/")[2]) if "//" in asked.url else None)

    def execute(self, path: str, example: str) -> str:
        """Try an operation with one of its examples; what was answered."""
        operation = self.page.locator(".opblock").filter(has=self.page.locator(f'[data-path="{path}"]'))
        operation.locator(".opblock-summary-control").click()
        operation.locator(".examples-select-element").select_option(example)
        operation.locator("button.execute").click()
        answer = operation.locator(".live-responses-table .response").first
        answer.wait_for()
        return answer.inner_text()


@pytest.fixture
def watched(page) -> Watched:
    return Watched(page)


def test_a_request_is_executed(watched):
    with running(SERVED) as server:
        watched.page.goto(f"{server.url}/docs")
        assert '"virginica"' in watched.execute("/models/flowers/invocations", "probabilities")
        told = watched.execute("/v2/models/people/infer", "a tensor a column")
        assert "x-model-version: people/3" in told
        assert '"model_name": "people"' in told
        assert watched.complaints == []
        assert watched.hosts == {server.address}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_day_and_by_night(watched, scheme):
    watched.page.emulate_media(color_scheme=scheme)
    with running(SERVED) as server:
        watched.page.goto(f"{server.url}/docs")
        watched.page.locator(".opblock").first.wait_for()
        watched.execute("/models/flowers/invocations", "probabilities")
        assert faint(watched.page) == []
        ground = watched.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (ground == "rgb(28, 32, 34)") is (scheme == "dark")
    assert watched.complaints == []


@pytest.fixture
def keyed() -> tuple[str, Admission]:
    secret, key = make("ann", models=frozenset({"flowers"}))
    return secret, Admission(keys=Keyring(None, write([key])))


def test_a_key_is_asked_for(watched, keyed, monkeypatch):
    secret, door = keyed
    monkeypatch.setenv("SERVING_KEYS", "[]")
    with running(SERVED, admission=door) as server:
        page = watched.page
        page.goto(f"{server.url}/docs")
        page.emulate_media(color_scheme="dark")
        page.locator("#key").fill("not a key")
        assert faint(page) == []
        page.locator("#ask button").click()
        page.get_by_text("This key is not known here.").wait_for()
        page.locator("#key").fill(secret)
        page.locator("#ask button").click()
        page.locator(".opblock").first.wait_for()
        assert "people" not in page.locator("#ui").inner_text()
        assert '"predictions"' in watched.execute("/models/flowers/invocations", "instances")
        assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        assert watched.hosts == {server.address}


def asked(server: Running, secret: str) -> int:
    return server.get("/openapi.json", authorization=f"Bearer {secret}").status


def test_the_page_itself_asks_for_none(keyed):
    secret, door = keyed
    with running(SERVED, admission=door) as server:
        assert server.get("/docs").status == server.get("/docs/docs.js").status == 200
        assert (server.get("/openapi.json").status, asked(server, secret)) == (401, 200)
        assert "people" not in server.get("/openapi.json", authorization=f"Bearer {secret}").body.decode()
