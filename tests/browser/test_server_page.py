"""The server's own page in a real browser: what is served, how it does, and a prediction with its reasons."""

import http.client
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor

from registry.last_report import LastReport
from serving.scorecard import Input, Scorecard, compile
from serving.server.guard.keys import make, write
from serving.server.state import Served, ServedModel
from serving.server.version_facts import UNKNOWN, Arrival, MeasuredMetric, VersionFacts
from tests.browser.contrast import faint
from tests.serving.server import cards, warm
from tests.serving.server.servers import Server, wait

#: Text that would run if it became part of the page.
EVIL = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "\"'><svg onload=window.pwned=1>",
    "__proto__",
    "constructor",
    "</title></textarea><b>bold</b>",
    "javascript:window.pwned=1",
    "new\nline & ampersand &amp; ${window.pwned=1}",
)
EVIL_MODEL = "<img src=x onerror=window.pwned=1>&\"'?model=people#%2F"


def hostile() -> Scorecard:
    """A classifier whose columns and classes are all of them evil."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(300, len(EVIL)))
    labels = np.array([EVIL[0], EVIL[1]])[(table.sum(axis=1) > 0).astype(int)]
    return compile(LogisticRegression().fit(table, labels), [Input(name, "number", null=False) for name in EVIL])


def wide(columns: int = 100) -> Scorecard:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3 * columns, columns))
    names = [f"a rather long name of measurement {n}" if n % 7 == 0 else f"x{n}" for n in range(columns)]
    return compile(
        LinearRegression().fit(table, table.sum(axis=1)), [Input(name, "number", null=False) for name in names]
    )


def counts() -> Scorecard:
    """A regression of the logarithm."""
    x = np.linspace(0.0, 3.0, 40)[:, None]
    return compile(PoissonRegressor().fit(x, np.exp(1 + x[:, 0])), [Input("x", "number", null=False)])


def shown(name: str, card: Scorecard, example: dict, known: VersionFacts = UNKNOWN, **facts) -> ServedModel:
    model = cards.model(name, card, **facts)
    return replace(model, champion=replace(model.champion, example=example, facts=known))


#: What is known of a version that the platform trained, and of one that it did not.
TRAINED = VersionFacts(
    target="answer",
    metrics=(
        MeasuredMetric("accuracy", "Accuracy", 0.9, baseline=0.6),
        MeasuredMetric("log_loss", "Log loss", 0.298936, 0.211779, 0.40523, 0.691505),
    ),
    metric="log_loss",
    rows=1081,
    level=0.95,
    arrival=Arrival("promote", "ann", "2026-03-01T12:30:05+00:00", "better log loss"),
    monitored=LastReport("2026-03-02T12:30:05+00:00", 2, "2 alerts", 500, "run"),
)
ADOPTED = VersionFacts(
    target=EVIL[1],
    metrics=(MeasuredMetric("accuracy", "Accuracy", 0.75),),
    caveat="logged without this platform; judged on rows that it may have been trained on",
    arrival=Arrival("by-hand", "UI", "2026-03-01T12:30:05+00:00", EVIL[5]),
)


def models(*, number: str = "3", generation: int = 1, mode: str = "canary") -> Served:
    people = shown("people", cards.people(), cards.PERSON, TRAINED, challenger=cards.people(1), mode=mode, weight=0.25)
    people = replace(people, champion=replace(people.champion, version=number))
    served = cards.served(
        people,
        shown("flowers", cards.flowers(), cards.FLOWER),
        replace(shown("line", cards.line(), {"x": 3.5}), refused="version 5 is not served: it fails its gates"),
        shown("deep", cards.people(estimator="mlp"), cards.PERSON),
        shown("wide", wide(), {item.name: 1.5 for item in wide().inputs}),
        shown("counts", counts(), {"x": 2.0}),
        shown("whole", cards.line(), {"x": 3.5}),
        shown(EVIL_MODEL, hostile(), dict.fromkeys(EVIL, 0.5), ADOPTED),
        default="people",
        generation=generation,
    )
    return replace(served, refused={EVIL[1]: f"version 2 has no scorecard {EVIL[0]}"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with warm.warm(models(), folder, "--workers", "2", "--default", "people") as found:
        up(found)
        yield found


def up(server: Server) -> None:
    def answers() -> bool:
        try:
            return server.get("/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    wait(answers, lambda: server.err)


@pytest.fixture
def watched(page) -> Iterator:
    """A page of which nothing may complain: no error, no dialog, nothing that the policy forbids."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
    # That an answer was 4xx is in the console, and meant.
    page.on(
        "console",
        lambda said: said.type == "error" and "Failed to load" not in said.text and complaints.append(said.text),
    )
    yield page
    assert complaints == []
    assert page.evaluate("window.pwned") is None


def address(server: Server, name: str | None = None) -> str:
    return f"http://127.0.0.1:{server.port}/" + ("" if name is None else f"?model={quote(name, safe='')}")


def row(page, name: str):
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def predict(page) -> str:
    page.get_by_role("button", name="Predict").click()
    page.locator(".answer:not([aria-busy]) .said").wait_for()
    return page.locator(".said").inner_text()


def test_all_models_are_listed_with_versions_and_what_is_refused(watched, server):
    watched.goto(address(server))
    assert watched.get_by_role("heading", level=1).inner_text() == "8 models"
    people = row(watched, "people").inner_text()
    assert re.search(r"version 3\s+Production", people)
    assert re.search(r"version 4\s+Staging\s+canary, answers 25 %", people)
    assert "default" in people
    told = "Log loss 0.2989 (95 % interval 0.2118 to 0.4052; baseline 0.6915)"
    assert watched.get_by_text(told, exact=True).is_visible()
    told = "Promoted by ann on 2026-03-01 12:30 UTC: better log loss"
    assert watched.get_by_text(told, exact=True).is_visible()
    assert re.search(
        r"Monitored on 2026-03-02 12:30 UTC \(\d+ days ago\): 2 alerts",
        watched.get_by_text("Monitored on").inner_text(),
    )
    assert watched.get_by_text("version 5 is not served: it fails its gates").is_visible()
    assert watched.get_by_text(f"version 2 has no scorecard {EVIL[0]}").is_visible()
    assert watched.get_by_role("link", name="API").get_attribute("href") == "docs"
    watched.get_by_role("link", name="flowers").click()
    assert watched.get_by_role("heading", level=1).inner_text() == "flowers"


def test_the_tables_need_no_script(browser, server):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address(server))
    assert re.search(r"version 4\s+Staging", row(page, "people").inner_text())
    row(page, "people").get_by_role("link").click()
    assert re.search(r"Challenger\s+version 4", page.get_by_role("region", name="Versions").inner_text())
    assert page.get_by_text("The form needs JavaScript").is_visible()
    page.get_by_text("The same from a terminal").click()
    assert f"curl -s http://127.0.0.1:{server.port}/models/people/invocations" in page.locator("pre").inner_text()
    context.close()


def test_a_versions_metrics_and_promotion_are_shown(watched, server):
    watched.goto(address(server, "people"))
    assert watched.get_by_text("Linear classification of answer from 4 input columns, 2 classes: no, yes").is_visible()
    card = watched.get_by_role("region", name="Version 3")
    rows = [" ".join(one.split()) for one in card.get_by_role("row").all_inner_texts()]
    # The metric that the policy judges by comes first; what is not known is left out.
    assert rows == [
        "Metric Value 95 % interval Baseline",
        "Log loss 0.2989 0.2118 to 0.4052 0.6915",
        "Accuracy 0.9 – 0.6",
    ]
    assert card.get_by_text("Measured on 1,081 held-out rows.").is_visible()
    assert "Promoted by ann on 2026-03-01 12:30 UTC" in card.inner_text()
    assert card.locator("q").inner_text() == "better log loss"
    assert "Monitored on 2026-03-02 12:30 UTC" in card.inner_text()
    # Of the challenger nothing is known.
    assert watched.get_by_role("region", name="Version 4").count() == 0
    watched.goto(address(server, EVIL_MODEL))
    card = watched.get_by_role("region", name="Version 3").inner_text()
    assert "Logged without this platform; judged on rows that it may have been trained on." in card
    assert "held-out" not in card
    assert "Moved by hand on 2026-03-01 12:30 UTC" in card


@pytest.mark.parametrize("name", ["people", "flowers", "whole", "wide", "counts"])
def test_the_reasons_add_up_to_the_answer_as_they_are_shown(watched, server, name):
    watched.goto(address(server, name))
    said = predict(watched)
    lines = [line.split("\n") for line in watched.locator(".sum .pair").all_inner_texts()]
    texts = [text for _, text in lines]
    *parts, total = (Decimal(text.replace("−", "-").replace(",", "")) for text in texts)
    assert sum(parts) == total
    answer = watched.locator(".answer").inner_text()
    if name == "people":
        assert lines[-1][0] == "= log-odds of yes"
        chance = f"{100 / (1 + np.exp(-float(total))):.1f} %"
        assert f") = {chance}" in answer
        assert f"yes\n{chance}" in answer
    elif name == "whole":
        assert (said, texts) == ("8", ["1", "+7", "8"])
    elif name == "wide":
        assert said == texts[-1]
        assert lines[-2][0] == "90 other inputs together"
        watched.get_by_text("All 100 terms").click()
        terms = watched.locator(".answer details .pair span:last-child").all_inner_texts()
        assert sum(Decimal(text.replace("−", "-")) for text in terms) == sum(parts[1:])
    elif name == "counts":
        assert float(said) == pytest.approx(np.exp(float(total)), rel=1e-4)
        assert f" = {said}" in answer


def test_a_prediction_is_the_models_with_probabilities_and_reasons(watched, server):
    watched.goto(address(server, "flowers"))
    row = dict(cards.FLOWER)
    card = cards.flowers()
    assert predict(watched) == card.predict_row(row)
    watched.get_by_label("petal length (cm)").fill("1.5")
    watched.get_by_label("petal width (cm)").fill("0.2")
    row |= {"petal length (cm)": 1.5, "petal width (cm)": 0.2}
    watched.get_by_label("petal width (cm)").press("Enter")
    watched.locator(".said", has_text=card.predict_row(row)).wait_for()
    answer = watched.locator(".answer").inner_text()
    chance = max(card.probabilities_row(row))
    assert f"{100 * chance:.1f} %" in answer
    why = card.explain_row(row)
    for reason in why["reasons"]:
        assert reason["text"].rpartition(" the score")[0].rpartition(" ")[0] in answer
    assert answer.index("petal length (cm) is 1.5") < answer.index("sepal")
    assert "answered by version 3" in answer
    watched.get_by_role("button", name="Example").click()
    assert predict(watched) == card.predict_row(cards.FLOWER)


def test_values_of_all_kinds_are_sent_as_they_are_meant(watched, server):
    watched.goto(address(server, "people"))
    asked: list[dict] = []
    watched.on("request", lambda one: one.method == "POST" and asked.append(json.loads(one.post_data)))
    predict(watched)
    watched.get_by_label("age").fill("")
    watched.get_by_label("number of rooms").fill("1e1")
    watched.get_by_label("owner").select_option("empty (null)")
    watched.get_by_label("été").fill('never seen "x"')
    predict(watched)
    watched.get_by_role("button", name="Clear").click()
    predict(watched)
    rows = [one["dataframe_split"]["data"][0] for one in asked if one["params"]["output"] == "explain"]
    assert rows == [[51.5, 3, True, "red"], [None, 10, None, 'never seen "x"'], [None] * 4]
    assert watched.locator("datalist option").evaluate_all("found => found.map(one => one.value)") == [
        "dark blue",
        "red",
        'say "x"',
    ]


@pytest.mark.parametrize(
    ("label", "value", "says"),
    [
        ("number of rooms", "3.5", "expected a whole number, found a fraction"),
        ("age", "old", "expected a number, found text"),
        ("age", "1e999", "expected a finite number"),
    ],
)
def test_what_is_refused_is_said_at_its_field(watched, server, label, value, says):
    watched.goto(address(server, "people"))
    watched.get_by_label(label).fill(value)
    watched.get_by_role("button", name="Predict").click()
    fault = watched.locator(".fault")
    fault.wait_for()
    assert says in fault.inner_text()
    assert watched.get_by_label(label).get_attribute("aria-invalid") == "true"
    assert watched.evaluate("document.activeElement.dataset.name") == label
    watched.get_by_label(label).fill("1")
    predict(watched)
    assert watched.get_by_label(label).get_attribute("aria-invalid") is None


def test_a_model_that_cannot_explain_answers_all_the_same(watched, server):
    watched.goto(address(server, "deep"))
    assert predict(watched) == cards.people(estimator="mlp").predict_row(cards.PERSON)
    assert watched.get_by_role("heading", name="Probabilities").is_visible()
    assert not watched.get_by_text("Reasons, strongest first").is_visible()


def test_hostile_names_stay_text(watched, server):
    watched.goto(address(server))
    assert watched.get_by_text(EVIL[1], exact=True).is_visible()
    watched.get_by_role("link", name=EVIL_MODEL, exact=True).click()
    assert watched.get_by_role("heading", level=1).inner_text() == EVIL_MODEL
    assert watched.title() == EVIL_MODEL
    assert watched.locator("[data-name]").evaluate_all("found => found.map(one => one.dataset.name)") == list(EVIL)
    assert predict(watched) == hostile().predict_row(dict.fromkeys(EVIL, 0.5))
    answer = watched.locator(".answer").inner_text()
    for name in EVIL:
        assert " ".join(name.split()) in " ".join(answer.split())
    watched.wait_for_timeout(2500)  # the numbers come, too
    assert watched.locator("main img, main script, main svg:not(.spark), main b:not(.fault b)").count() == 0


@pytest.mark.parametrize("name", ["none", EVIL[0], "", "x" * 3000, "\0", "é"])
def test_a_model_that_there_is_not_is_said_to_be_none(watched, server, name):
    watched.goto(address(server, name))
    assert watched.get_by_role("heading", level=1).inner_text() == "No such model"
    watched.get_by_role("link", name="All models").click()
    row(watched, "people").wait_for()


def test_the_numbers_live(watched, server):
    watched.goto(address(server, "line"))
    requests = watched.locator("[data-tile=requests]")
    for number in range(30):
        assert server.post("/models/line/invocations", {"inputs": [[float(number)]]}).status == 200
    assert server.post("/models/line/invocations", {"inputs": [["x"]]}).status == 400
    requests.get_by_text("31 since the start").wait_for()
    requests.get_by_text(re.compile(r"^[\d.]+ /s$")).wait_for()
    watched.locator("[data-tile=p99]").get_by_text(re.compile(r"^\d+(\.\d)? (µs|ms)$")).wait_for()
    watched.locator("[data-tile=failed]").get_by_text("1 rejected").wait_for()
    assert watched.locator("[data-tile=failed] .value").inner_text() == "0"
    assert watched.get_by_text("2 workers").is_visible()
    watched.goto(address(server))
    assert row(watched, "line").locator("[data-figure=requests]").inner_text() == "31"


def test_another_version_appears_by_itself_and_what_was_typed_stays(watched, server, folder):
    watched.goto(address(server, "people"))
    watched.get_by_label("age").fill("77")
    try:
        warm.keep(models(generation=2, mode="shadow"), folder)
        watched.get_by_text("shadow, compared on 25 %").wait_for()
        assert watched.get_by_label("age").input_value() == "77"
        predict(watched)
        warm.keep(models(number="9", generation=3), folder)
        watched.get_by_text("version 9").first.wait_for()
        assert watched.get_by_label("age").input_value() == "51.5"
        predict(watched)
        assert "answered by version" in watched.locator(".answer").inner_text()
    finally:
        warm.keep(models(generation=4), folder)
    watched.get_by_text("version 3").first.wait_for()


def test_a_server_that_is_away_is_said_to_be(browser, tmp_path):
    context = browser.new_context()
    page = context.new_page()
    with warm.warm(models(), tmp_path) as server:
        up(server)
        page.goto(address(server, "people"))
        page.get_by_role("button", name="Predict").wait_for()
        server.stop()
        page.get_by_text("The server does not answer", exact=True).wait_for(timeout=15_000)
        page.get_by_role("button", name="Predict").click()
        assert "does not answer" in page.locator(".fault").inner_text()
        server.start()
        page.locator("#state:empty").wait_for(state="attached", timeout=60_000)
        page.get_by_role("button", name="Predict").click()
        page.locator(".said").wait_for()
    context.close()


# ---- With keys ----


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("locked")
    kinds = {"all": {}, "some": {"models": frozenset({"flowers", "line"})}, "metrics": {"uses": frozenset({"metrics"})}}
    made = {name: make(name, **facts) for name, facts in kinds.items()}
    (folder / "keys.json").write_text(write(key for _, key in made.values()))
    with warm.warm(models(), folder, "--keys", str(folder / "keys.json")) as server:
        up(server)
        yield server, {name: secret for name, (secret, _) in made.items()}


def unlock(page, secret: str) -> None:
    page.get_by_label("API key").fill(secret)
    page.get_by_role("button", name="Open").click()


def test_with_keys_the_page_asks_for_one_and_keeps_it_in_the_tab_alone(watched, locked):
    server, secrets = locked
    seen: list[str] = []
    watched.on("request", lambda one: seen.append(one.url))
    watched.goto(address(server))
    watched.get_by_role("heading", name="This server asks for a key").wait_for()
    assert not watched.get_by_text("needs JavaScript").is_visible()
    assert "flowers" not in watched.content()
    unlock(watched, "mlk_wrong")
    watched.get_by_text("The server does not know this key").wait_for()
    unlock(watched, secrets["metrics"])
    watched.get_by_text("This key is not for predictions").wait_for()
    unlock(watched, "schlüssel mit leerzeichen")
    watched.get_by_text("That is no key").wait_for()
    unlock(watched, secrets["all"])
    row(watched, "flowers").get_by_role("link").click()
    watched.get_by_role("heading", name="flowers").wait_for()
    assert predict(watched) == cards.flowers().predict_row(cards.FLOWER)
    watched.get_by_text("The same from a terminal").click()
    assert 'Authorization: Bearer $KEY"' in watched.locator("#try > details pre").inner_text()
    assert secrets["all"] not in watched.content()
    assert not [url for url in seen if "mlk_" in url]
    assert watched.context.cookies() == []
    assert watched.evaluate("localStorage.length") == 0
    assert watched.evaluate("Object.values(sessionStorage)") == [secrets["all"]]
    # Another tab knows nothing of it.
    other = watched.context.new_page()
    other.goto(address(server))
    other.get_by_label("API key").wait_for()
    other.close()
    watched.get_by_role("button", name="Forget key").click()
    watched.get_by_label("API key").wait_for()
    assert watched.evaluate("sessionStorage.length") == 0


def test_a_key_shows_its_own_models(watched, locked):
    server, secrets = locked
    watched.goto(address(server))
    unlock(watched, secrets["some"])
    row(watched, "flowers").wait_for()
    assert watched.get_by_role("heading", level=1).inner_text() == "2 models"
    assert "people" not in watched.content()
    watched.goto(address(server, "people"))
    watched.get_by_role("heading", name="No such model").wait_for()


def test_a_key_that_is_taken_away_is_asked_for_again(watched, tmp_path):
    secret, key = make("ann")
    path = tmp_path / "keys.json"
    path.write_text(write([key]))
    with warm.warm(models(), tmp_path, "--keys", str(path)) as server:
        up(server)
        watched.goto(address(server))
        unlock(watched, secret)
        row(watched, "people").wait_for()
        (tmp_path / "part").write_text(write([]))
        os.replace(tmp_path / "part", path)
        watched.get_by_text("The server does not know this key").wait_for()
        assert "flowers" not in watched.content()


# ---- Looks ----


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1440])
def test_it_fits_and_reads_well(browser, server, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    for name in (None, "people", "wide", EVIL_MODEL):
        page.goto(address(server, name))
        if name is not None:
            predict(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert faint(page) == []
    grounds = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", grounds))) < 60) is (scheme == "dark")
    context.close()


def test_every_field_has_a_name_and_the_keyboard_reaches_all(watched, server):
    watched.goto(address(server, "people"))
    for label in ("age", "number of rooms", "owner", "été"):
        assert watched.get_by_label(label, exact=True).count() == 1
    reached = []
    for _ in range(25):
        watched.keyboard.press("Tab")
        reached.append(
            watched.evaluate("document.activeElement.textContent.trim() || document.activeElement.dataset.name")
        )
    assert reached[0] == "Skip to content"
    for wanted in ("API", "age", "number of rooms", "été", "Predict", "Example", "Clear"):
        assert wanted in reached
    for name in (None, "people"):
        watched.goto(address(server, name))
        assert watched.locator("h1").count() == 1
        assert watched.locator("html").get_attribute("lang") == "en"
        unnamed = watched.locator("button, a, input, select").evaluate_all(
            "found => found.filter(e => !(e.textContent.trim() || (e.labels && e.labels.length) || e.ariaLabel)).length"
        )
        assert unnamed == 0


def test_a_column_is_found_among_many(watched, server):
    watched.goto(address(server, "wide"))
    assert watched.locator(".field:visible").count() == 100
    watched.get_by_label("Find a column").fill("measurement 7")
    assert watched.locator(".field:visible").count() == 3  # 7, 70 and 77
    watched.get_by_label("Find a column").fill("nothing like it")
    assert watched.get_by_text("No column has this in its name").is_visible()
    watched.get_by_label("Find a column").fill("")
    # One that is refused is shown, whatever is looked for.
    watched.get_by_label("x51", exact=True).fill("x")
    watched.get_by_label("Find a column").fill("measurement 7")
    watched.get_by_role("button", name="Predict").click()
    watched.locator(".fault").wait_for()
    assert watched.get_by_label("x51", exact=True).is_visible()
    watched.get_by_label("x51", exact=True).fill("1")
    assert predict(watched)
