"""Health, what is served, and MLflow's own routes."""

import pytest

from tests.serving.server.servers import MIXED, NUMBERS, Server


@pytest.mark.parametrize("path", ["/ping", "/health", "/ready", "/live", "/version", "/models", "/models/"])
def test_what_looks_after_the_server_is_told_that_it_is_well(server: Server, path: str) -> None:
    assert server.get(path).status == 200


def test_mlflows_routes_answer_as_mlflows_own(server: Server) -> None:
    import mlflow

    assert server.get("/version").body == mlflow.__version__.encode()
    assert server.get("/ping").json == {"status": "Healthy"}


def test_models_are_listed_with_what_they_take(server: Server) -> None:
    assert [one["name"] for one in server.get("/models").json["models"]] == ["sums", "visits"]
    found = server.get("/models/visits").json
    assert found["example"] == MIXED
    assert [one["name"] for one in found["inputs"]] == list(MIXED)
    assert found["classes"] == ["no", "yes"]


def test_the_default_model_and_each_by_its_name(server: Server) -> None:
    for path in ("/invocations", "/predict", "/models/sums/invocations", "/models/sums/versions/0/predict"):
        found = server.post(path, {"dataframe_records": [NUMBERS]})
        assert found.json == {"predictions": [pytest.approx(151.5)]}
        assert found.headers["x-model-version"] == "sums/0"
    assert server.post("/models/visits/predict", [MIXED]).json == {"prediction": ["yes"]}
