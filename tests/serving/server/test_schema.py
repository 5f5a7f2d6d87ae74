"""The OpenAPI document, the page that shows it, and the collection made of it."""

import json
import re
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import jsonschema
import numpy as np
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from sklearn.linear_model import LinearRegression

from serving.scorecard import Input
from serving.scorecard import compile as compile_pipeline
from serving.server.routes import router
from serving.server.schema import examples, openapi, postman
from serving.server.settings import ServerSettings
from tests.serving.scorecard.generated import NAMES
from tests.serving.server import cards
from tests.serving.server.running import Running, running

SERVED = cards.served(
    cards.model("flowers", cards.flowers()),
    cards.model("people", cards.people(), challenger=cards.people(1)),
    cards.model("half plus {three}/é", cards.line()),
    cards.model("half plus _three__é", cards.line()),
    cards.model("mlp", cards.people(estimator="mlp")),
    cards.model("svm", cards.people(estimator="svm")),
    default="people",
)


def hostile():
    """A model whose columns have names that nobody would choose."""
    inputs = [Input(name, "number", null=place % 2 == 0) for place, name in enumerate(NAMES)]
    fitted = LinearRegression().fit(np.eye(len(NAMES)), range(len(NAMES)))
    return compile_pipeline(fitted, [Input(i.name, i.type, null=False) for i in inputs])


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(SERVED) as found:
        yield found


@pytest.fixture(scope="module")
def document(server: Running) -> dict:
    return server.get("/openapi.json").json


def schema(document: dict, name: str) -> dict:
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def check(value, form: dict) -> None:
    """Fail unless a value is as a schema says, which is known to be one."""
    jsonschema.Draft202012Validator(form).validate(value)


class TestDocument:
    def test_valid(self, document):
        OpenAPIV31SpecValidator(document).validate()
        assert document["openapi"] == "3.1.0"

    def test_each_array_says_what_is_in_it(self, document):
        """Makers of clients want to know, and leave out answers where they do not."""

        def arrays(part):
            if isinstance(part, dict):
                kinds = part.get("type")
                if kinds == "array" or (isinstance(kinds, list) and "array" in kinds):
                    yield part
                part = list(part.values())
            for inner in part if isinstance(part, list) else ():
                yield from arrays(inner)

        found = list(arrays(document))
        assert len(found) > 50
        assert all("items" in one for one in found)

    def test_no_two_schemas_share_a_title(self, document):
        """Makers of clients take it for the name of a class."""
        titles = re.findall(r'"title": "([^"]*)"', json.dumps(document["components"]["schemas"]))
        assert len(titles) == len(set(titles)) > len(SERVED.models)

    def test_valid_whatever_the_columns_are_called(self):
        served = cards.served(cards.model("odd", hostile()), default="odd")
        found = json.loads(
            json.dumps(openapi.build(served, ServerSettings(predict_route="/ask", health_route="/well")))
        )
        OpenAPIV31SpecValidator(found).validate()
        assert list(found["components"]["schemas"]["odd.Row"]["properties"]) == list(NAMES)
        assert {"/ask", "/well"} <= set(found["paths"])

    def test_valid_with_keys_and_without_models(self, monkeypatch):
        monkeypatch.setenv("SERVING_KEYS", "[]")
        found = json.loads(json.dumps(openapi.build(cards.served(), ServerSettings())))
        OpenAPIV31SpecValidator(found).validate()
        assert found["security"] == [{"key": []}]
        assert found["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        assert found["paths"]["/ready"]["get"]["security"] == []
        assert "security" not in found["paths"]["/models"]["get"]

    def test_columns(self, document):
        row = document["components"]["schemas"]["people.Row"]
        assert {name: column["type"] for name, column in row["properties"].items()} == {
            "age": ["number", "null"],
            "number of rooms": ["integer", "null"],
            "owner": ["boolean", "null"],
            "été": ["string", "null"],
        }
        assert "red" in row["properties"]["été"]["description"]
        flowers = document["components"]["schemas"]["flowers.Row"]
        assert {column["type"] for column in flowers["properties"].values()} == {"number"}
        assert flowers["required"] == list(cards.SIZES)
        assert document["components"]["schemas"]["flowers.Prediction"] == {"enum": list(cards.FLOWERS)}

    def test_columns_that_nothing_hangs_on_are_not_required(self):
        fitted = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 1.0]]), [0.0, 1.0])
        card = compile_pipeline(fitted, [Input("a", "number"), Input("b", "number")])
        found = openapi.build(cards.served(cards.model("m", card)), ServerSettings())
        assert found["components"]["schemas"]["m.Row"]["required"] == ["a"]

    def test_every_path_is_there_and_answers(self, server, document):
        """With an example as the body where it takes one: 200, and as the schema of its answer says."""
        count = 0
        for path, item in document["paths"].items():
            parameters = {one["name"]: one["schema"]["enum"] for one in item.get("parameters", ())}
            names = re.findall(r"\{(\w+)\}", path)
            assert names == list(parameters)
            for value in parameters[names[0]] if names else [""]:
                filled = path.replace(f"{{{names[0]}}}", value) if names else path
                if "get" in item and path != "/metrics":
                    assert server.get(filled).status == 200, filled
                    count += 1
                for media, content in item.get("post", {}).get("requestBody", {"content": {}})["content"].items():
                    bodies = [content["example"].encode()] if "example" in content else []
                    bodies += [json.dumps(one["value"]).encode() for one in content.get("examples", {}).values()]
                    for body in bodies:
                        found = server.post(filled, body, content_type=media)
                        assert found.status == 200, (filled, body, found.body)
                        (answer,) = item["post"]["responses"]["200"]["content"].values()
                        full = {**answer["schema"], "components": document["components"]}
                        check(found.json, full)
                        count += 1
        assert count > 150

    def test_every_route_is_in_it(self, document):
        """What a router finds, the document has; but for its own pages."""
        routes = router(ServerSettings(metrics=False))
        fixed = {path.decode().rstrip("/") for path in routes._fixed}
        pages = {path for path in fixed if path.startswith("/docs")}
        assert fixed - pages <= set(document["paths"])
        for path in document["paths"]:
            if path not in ("/metrics",):
                assert routes.find(path.replace("{version}", "3").replace("{label}", "champion").encode()), path

    def test_examples_are_as_the_schemas_say(self, document):
        for path, item in document["paths"].items():
            content = item.get("post", {}).get("requestBody", {"content": {}})["content"].get("application/json", {})
            for one in content.get("examples", {}).values():
                check(one["value"], {**content["schema"], "components": document["components"]})
            assert content.get("examples") or "requestBody" not in item.get("post", {}), path

    @pytest.mark.parametrize(
        "row",
        [
            *({**cards.PERSON, "age": "old"}, {**cards.PERSON, "number of rooms": 2.5}, {**cards.PERSON, "owner": 7}),
            *({**cards.PERSON, "été": ["a"]}, {"age": 1}),
        ],
    )
    def test_the_schema_refuses_what_the_server_does(self, server, document, row):
        with pytest.raises(jsonschema.ValidationError):
            check(row, schema(document, "people.Row"))
        assert server.post("/models/people/invocations", {"dataframe_records": [row]}).status == 400

    def test_errors_are_as_it_says(self, server, document):
        for path, form in (
            ("/models/people/invocations", "mlflow"),
            ("/v2/models/people/infer", "plain"),
            ("/v1/models/people:predict", "plain"),
            ("/predictions/people", "torchserve"),
        ):
            found = server.post(path, b"{")
            assert found.status in (400, 415)
            check(found.json, schema(document, f"Error.{form}"))

    def test_made_once_and_again_when_another_version_is_served(self):
        with running(SERVED) as server:
            one = server.get("/openapi.json").body
            made = server.app._router.find(b"/openapi.json").answer.__self__._made
            (kept,) = made.values()
            assert server.get("/openapi.json").body == one
            assert list(made.values()) == [kept]
            server.app.served = cards.served(cards.model("people", cards.line()))
            again = server.get("/openapi.json").json
            assert list(again["components"]["schemas"]["people.Row"]["properties"]) == ["x"]

    def test_a_hundred_models_in_no_time(self):
        import time

        served = cards.served(*(cards.model(f"m{place}", cards.people()) for place in range(100)))
        began = time.process_time()
        openapi.build(served, ServerSettings())
        assert time.process_time() - began < 3


class TestExamples:
    def test_the_models_own(self):
        assert examples.row(cards.version("people", cards.people(), example=cards.PERSON)) == cards.PERSON

    def test_made_where_there_is_none(self):
        row = examples.row(cards.version("people", cards.people()))
        assert list(row) == list(cards.PERSON)
        assert row["été"] in ("red", "dark blue", 'say "x"')
        assert cards.people().predict_row(row) in ("yes", "no")

    def test_what_json_does_not_have_is_replaced(self):
        given = {**cards.PERSON, "age": float("nan"), "number of rooms": float("inf"), "more": 1}
        row = examples.row(cards.version("people", cards.people(), example=given))
        assert list(row) == list(cards.PERSON)
        assert json.loads(json.dumps(row, allow_nan=False)) == row
        assert cards.people().predict_row(row) in ("yes", "no")

    def test_a_model_that_takes_no_zero(self):
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        pipeline = make_pipeline(FunctionTransformer(np.log), LinearRegression())
        card = compile_pipeline(pipeline.fit([[1.0], [2.0]], [0.0, 1.0]), [Input("x", "number", null=False)])
        assert card.predict_row(examples.row(cards.version("m", card))) is not None


class TestPage:
    def test_files_are_ours(self, server):
        page = server.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "<script>" not in page.body.decode()
        for path in re.findall(r'(?:src|href)="([^"]+)"', page.body.decode()):
            assert path.startswith("/")
            found = server.get(path)
            assert found.status == 200
            assert server.get(path, if_none_match=found.headers.get("etag", "none")).status in (200, 304)
        assert server.get("/docs/../settings.py").status == 404
        assert server.get(f"/docs/{quote('../docs.py', safe='')}").status == 404

    def test_a_file_that_a_browser_has(self, server):
        found = server.get("/docs/swagger-ui-bundle.js")
        assert found.headers["content-type"].startswith("text/javascript")
        again = server.get("/docs/swagger-ui-bundle.js", if_none_match=found.headers["etag"])
        assert (again.status, again.body) == (304, b"")


class TestPostman:
    def test_every_request_answers(self, server, document):
        found = server.get("/postman.json").json
        assert found == postman.collection(document)
        assert [folder["name"] for folder in found["item"]] == [tag["name"] for tag in document["tags"]]
        count = 0
        for folder in found["item"]:
            for item in folder["item"]:
                request = item["request"]
                path = request["url"]["raw"].removeprefix("{{baseUrl}}")
                assert "{" not in path
                assert path == "/" + "/".join(request["url"]["path"])
                if path == "/metrics":
                    continue
                headers = {one["key"].lower(): one["value"] for one in request.get("header", ())}
                body = request["body"]["raw"].encode() if "body" in request else None
                answer = server.ask(request["method"], path, body, headers)
                assert answer.status == 200, (path, answer.body)
                count += 1
        assert count > 150

    def test_keys(self, monkeypatch):
        monkeypatch.setenv("SERVING_KEYS", "[]")
        found = postman.collection(openapi.build(SERVED, ServerSettings()))
        assert found["auth"]["bearer"][0]["value"] == "{{key}}"
        requests = {item["name"]: item["request"] for folder in found["item"] for item in folder["item"]}
        assert sum("auth" in request for request in requests.values()) == 7


def test_made_without_what_a_worker_does_not_import():
    code = (
        "import sys; from serving.server.routes import router; from serving.server.settings import ServerSettings;"
        "router(ServerSettings());"
        "heavy = ('mlflow', 'pandas', 'sqlalchemy', 'flask', 'flask_swagger_ui');"
        "print(sorted(name for name in sys.modules if name in heavy or name.startswith('registry.')))"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    # It wants the standard library alone.
    assert done.stdout.strip() == "['registry.last_report', 'registry.troubles']"
