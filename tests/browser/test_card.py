"""A model card in a browser: snippets are copied by a click, under a policy that lets no other script run."""

import json
from pathlib import Path

import msgspec

from pipelines import card
from registry.evidence import Evidence
from registry.holdout import completed

FROZEN = Path(__file__).parents[1] / "registry" / "frozen"


def test_a_click_copies_a_snippet_and_no_other_script_runs(page):
    document = json.loads(next(iter(sorted(FROZEN.glob("*.json")))).read_text())
    evidence = msgspec.convert({**document, "holdout": completed(document["holdout"])}, Evidence)
    html = card.render(evidence, model_uri="models:/made/1", example={"age": 5.0})
    page.set_content(html.replace("</main>", '<script>document.title = "run"</script></main>'))
    button = page.locator("button.copy").first
    assert button.inner_text() == "Copy"
    button.click()
    page.wait_for_function("document.querySelector('button.copy').textContent != 'Copy'")
    assert page.title() != "run"
    assert page.evaluate("getSelection().toString()").strip() in ("", page.locator(".snippet pre").first.inner_text())
