"""Makes the README's pictures anew: ``python docs/pictures.py``, after ``make run``; it needs Chromium.

They show the model card of a version in Production and the form of the model server. They are committed, because the
README is read where nothing is built.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow.artifacts import download_artifacts
from playwright.sync_api import Page, sync_playwright

from serving import models
from serving.cli.ask import ask

HERE = Path(__file__).parent
MODEL = "diabetes"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: Pixels of the pictures, which are drawn twice as fine.
WIDTH, CARD_HEIGHT, FORM_HEIGHT = 860, 620, 560


def main() -> int:
    """Draw both pictures."""
    browser = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if browser is None:
        sys.exit(f"no browser on this machine: expected one of {', '.join(PROGRAMS)}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        context = started.new_context(viewport={"width": WIDTH, "height": CARD_HEIGHT})
        page = context.new_page()
        _card(page, Path(folder))
        _form(page, Path(folder))
        started.close()
    return 0


def _card(page: Page, folder: Path) -> None:
    """The head of the model card."""
    version = models.find(f"models:/{MODEL}@champion")
    card = download_artifacts(f"runs:/{version.run_id}/model_card.html", dst_path=str(folder))
    page.goto(Path(card).as_uri())
    page.screenshot(path=HERE / "card.png")


def _form(page: Page, folder: Path) -> None:
    """The form with a prediction and its reasons."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "serving", "serve", "--port", str(port), "--log", "no", "--cache", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        ask(url, model=MODEL, wait=60)
        page.set_viewport_size({"width": 1100, "height": FORM_HEIGHT})
        page.goto(f"{url}/?model={MODEL}")
        page.get_by_role("button", name="Predict").click()
        page.locator(".answer:not([aria-busy]) .said").wait_for()
        page.locator("section:has(form)").screenshot(path=HERE / "form.png")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
