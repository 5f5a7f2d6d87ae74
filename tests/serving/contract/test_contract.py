"""The request contract: a request in whichever form gets the scorecard's own answer, or a refusal that says why."""

import gzip
import json
import subprocess
import sys
import time
import tracemalloc

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from serving.contract import Limits, RequestError, reply, respond
from serving.contract.compression import decompressed
from serving.scorecard import Scorecard
from tests.command import ROOT
from tests.effort import times
from tests.patience import soon
from tests.serving.contract import cases
from tests.serving.contract.cases import BAD, GOOD, NAMES, ROWS, Case

CARDS = {kind: cases.scorecard(kind) for kind in cases.KINDS}


def asked(case: Case, card: Scorecard, **how):
    return reply(card, case.body, case.content_type, encoding=case.encoding, **how)


@pytest.mark.parametrize("kind", ["regression", "labels"])
@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_request_is_answered(case: Case, kind: str) -> None:
    status, payload = asked(case, CARDS[kind])
    assert (status, len(payload)) == (200, 1), payload
    json.dumps(payload, allow_nan=False)


@pytest.mark.parametrize("kind", ["regression", "labels"])
@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_request_is_refused_and_says_why(case: Case, kind: str) -> None:
    status, payload = asked(case, CARDS[kind])
    assert status == case.status, payload
    assert payload.keys() == {"error_code", "message"}
    assert case.says in payload["message"]
    assert payload["error_code"].isupper()


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_scoring_as_a_table_refuses_in_the_same_words(case: Case) -> None:
    assert asked(case, CARDS["labels"], few=0) == asked(case, CARDS["labels"])


@pytest.mark.parametrize("place", range(len(ROWS)))
@pytest.mark.parametrize("kind", cases.KINDS)
def test_every_form_gets_the_answer_of_the_row(kind: str, place: int) -> None:
    card = CARDS[kind]
    answer = card.predict_row(dict(zip(NAMES, ROWS[place], strict=True)))
    found = {
        case.name: asked(case, card)[1] for case in GOOD if case.name.endswith(f" {place}") and " of " not in case.name
    }
    assert len(found) == 13, sorted(found)
    for name, payload in found.items():
        if "predictions" in payload:
            assert payload == {"predictions": [answer]}, name
        elif name.startswith(("nested", "bare object in a list")):
            assert payload == {"prediction": [answer]}, name
        else:
            assert payload == {"prediction": answer}, name
        assert type(next(iter(json.loads(json.dumps([answer]))))) is type(answer)


@pytest.mark.parametrize("kind", cases.KINDS)
@pytest.mark.parametrize("output", ["predictions", "probabilities", "explain"])
def test_many_rows_are_answered_alike_one_by_one_and_as_a_table(kind: str, output: str) -> None:
    card = CARDS[kind]
    body = {"dataframe_split": {"columns": NAMES, "data": ROWS * 5}, "params": {"output": output}}
    if kind == "regression" and output == "probabilities":
        with pytest.raises(RequestError, match="it has no probabilities: ask for predictions"):
            respond(card, body)
        return
    slow, fast = respond(card, body)["predictions"], respond(card, body, few=0)["predictions"]
    assert len(slow) == len(fast) == 30
    if output == "probabilities":
        assert [list(row) for row in fast] == [[str(label) for label in card.classes]] * 30
        slow, fast = [list(row.values()) for row in slow], [list(row.values()) for row in fast]
    if output == "explain":
        assert slow == fast
        assert {"prediction", "baseline", "terms", "reasons"} <= slow[0].keys()
    elif kind == "regression" or output == "probabilities":
        np.testing.assert_allclose(slow, fast, rtol=1e-12)
    else:
        assert slow == fast


def test_one_input_may_come_without_its_list() -> None:
    card = Scorecard.loads(json.dumps(_one_input()))
    assert respond(card, {"instances": [1, 2.5]}) == respond(card, {"instances": [[1], [2.5]]})
    assert respond(card, {"inputs": [1, 2.5]}) == respond(card, {"inputs": {"x": [1, 2.5]}})
    with pytest.raises(RequestError, match="row 0: expected 1 value, found 2; column 'x' is the last"):
        respond(card, {"X": [1, 2.5]})


def _one_input() -> dict:
    from sklearn.linear_model import LinearRegression

    from serving.scorecard import Input, compile

    rows = np.arange(12.0)[:, None]
    return json.loads(compile(LinearRegression().fit(rows, rows[:, 0] * 2 + 1), [Input("x", "number")]).dumps())


def test_limits_say_what_they_are() -> None:
    body = json.dumps({"instances": [ROWS[0]] * 11}).encode()
    status, payload = reply(CARDS["labels"], body, "application/json", limits=Limits(rows=10))
    assert (status, payload["error_code"]) == (413, "RESOURCE_LIMIT_EXCEEDED")
    assert payload["message"] == "expected at most 10 rows, found 11; ask in several requests"
    status, payload = reply(CARDS["labels"], body, "application/json", limits=Limits(body=100))
    assert (status, payload["message"]) == (413, "the body is larger than 100 bytes; ask in several requests")


def test_a_bomb_is_never_unpacked() -> None:
    (bomb,) = (case for case in BAD if case.name == "a gzip bomb")
    limits = Limits(body=1_000_000)
    tracemalloc.start()
    try:
        assert asked(bomb, CARDS["labels"], limits=limits)[0] == 413
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_message_holds_none_of_the_data() -> None:
    secret = "s3cret-value"
    for body in (
        {"instances": [[secret, 1, True, "a"]]},
        {"instances": [[1, secret, True, "a"]]},
        {"instances": [[1, 2, secret, "a"]]},
        {"instances": [secret]},
        {"features": secret},
        {secret: [ROWS[0]]},
        {"instances": [ROWS[0]], "params": {"output": secret}},
        {"instances": [ROWS[0]], "params": {secret: 1, "output": secret}},
        secret,
    ):
        status, payload = reply(CARDS["labels"], json.dumps(body).encode(), "application/json")
        assert status == 400
        assert secret not in payload["message"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from((1e308, 10**309, "?")),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner),
    max_leaves=12,
)
FORMS = st.sampled_from(("dataframe_split", "dataframe_records", "instances", "inputs", "input_data", "features", "X"))
SPLIT = st.fixed_dictionaries({"columns": JSON | st.just(NAMES), "data": st.lists(JSON)})


@hypothesis.settings(max_examples=times(600), deadline=None)
@hypothesis.given(st.dictionaries(FORMS | st.just("params"), JSON | SPLIT, max_size=3) | JSON, st.booleans())
def test_whatever_is_asked_there_is_an_answer_or_a_refusal(value, whole: bool) -> None:
    body = json.dumps(value).encode()
    status, payload = reply(CARDS["labels"], body, "application/json", few=0 if whole else None)
    assert status in (200, 400)
    assert payload.keys() in ({"predictions"}, {"prediction"}, {"error_code", "message"})


ROW = st.tuples(
    st.none() | st.integers(-5, 200) | st.sampled_from((3.5, "41", " 7 ", "x", 1e300, True)),
    st.floats(-1e7, 1e7) | st.none() | st.sampled_from(("2.5", "NA", 1e308, -1e308)),
    st.sampled_from((True, False, 0, 1, None, "true", "no", 2)),
    st.none() | st.sampled_from(("a", "b", " c", "", "unseen", 3)),
).map(list)


@hypothesis.settings(max_examples=times(300), deadline=None)
@hypothesis.given(st.lists(ROW, min_size=1, max_size=6), st.sampled_from(("regression", "three")))
def test_all_forms_agree_on_answers_and_on_refusals(rows, kind: str) -> None:
    records = [dict(zip(NAMES, row, strict=True)) for row in rows]
    bodies = [
        {"dataframe_split": {"columns": NAMES, "data": rows}},
        {"dataframe_records": records},
        {"instances": rows},
        {"instances": records},
        {"inputs": {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}},
        {"features": rows},
    ]
    found = []
    for body in bodies:
        for few in (None, 0):
            status, payload = reply(CARDS[kind], json.dumps(body).encode(), "application/json", few=few)
            found.append((status, payload.get("predictions", payload.get("prediction", payload))))
    for status, payload in found:
        assert status == found[0][0], found
        if status == 200 and kind == "regression":
            np.testing.assert_allclose(payload, found[0][1], rtol=1e-11, atol=1e-9)
        else:
            assert payload == found[0][1]


def test_it_imports_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import serving.contract; from serving.scorecard import Scorecard; "
        "tops = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(tops - set(sys.stdlib_module_names) - {'serving'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_sends_other_columns_is_told_the_models_own() -> None:
    """Names in another case, say: that the first one is missing would not tell what is wrong."""
    one = {name.upper(): value for name, value in zip(NAMES, ROWS[0], strict=True)}
    says = "column 'x.y': the column is required, found no such column"
    names = "; none of the model's columns was: 'age', 'x.y', 'owns', \"it's\""
    for content in (
        {"dataframe_records": [one]},
        {"instances": [one, one]},
        {"inputs": {name: [value] for name, value in one.items()}},
        {"dataframe_split": {"columns": list(one), "data": [list(one.values())] * 40}},
    ):
        status, payload = reply(CARDS["labels"], json.dumps(content).encode(), "application/json", few=16)
        assert (status, payload["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert payload["message"].endswith(names), payload
    some = {**one, "owns": True}
    for rows in ([some], [one, some]):
        status, payload = reply(CARDS["labels"], json.dumps({"instances": rows}).encode(), "application/json")
        assert status == 400
        assert "none of" not in payload["message"]
    assert says.partition(":")[2] in payload["message"]


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 5000))
def test_members_of_gzip_follow_one_another(parts: list[bytes], times: int) -> None:
    whole = b"".join(parts) * times
    packed = b"".join(map(gzip.compress, parts)) + gzip.compress(b"".join(parts) * (times - 1))
    assert decompressed(packed, "gzip", Limits()) == whole
    if parts:
        with pytest.raises(RequestError, match="cut short"):
            decompressed(packed[:-1], "gzip", Limits())
    if whole:
        with pytest.raises(RequestError, match="larger than"):
            decompressed(packed, "gzip", Limits(body=len(whole) - 1))


def test_many_members_of_gzip_take_no_longer_than_their_bytes() -> None:
    """Each member used to copy all that follows it: this body then takes minutes."""
    packed = gzip.compress(b"") * 400_000
    began = time.monotonic()
    assert decompressed(packed, "gzip", Limits()) == b""
    assert time.monotonic() - began < soon(20)
