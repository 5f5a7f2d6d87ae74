"""S3: objects scored into outputs. S3 is simulated, by moto."""

import csv
import gzip
import io
import json
import resource
from urllib.parse import quote_plus

import boto3
import pytest

from serving.functions.aws_lambda import objects, upload
from tests.serving.contract import cases
from tests.serving.functions.lambdas import Called, created

HEADER = cases.NAMES
ROWS = [["31", "1000001.5", "true", "a"], ["", "999998.25", "0", "b"], ["64", "1000000", "", ""]]


@pytest.fixture
def bucket(simulated_aws: None) -> str:
    boto3.client("s3").create_bucket(Bucket="rows")
    return "rows"


def put(key: str, content: str | bytes) -> None:
    boto3.client("s3").put_object(
        Bucket="rows", Key=key, Body=content if isinstance(content, bytes) else content.encode()
    )


def got(key: str, bucket: str = "rows") -> str:
    content = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return (gzip.decompress(content) if key.endswith(".gz") else content).decode()


def keys(bucket: str = "rows") -> list[str]:
    return [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


def table(rows: list[list[str]], header: list[str] = HEADER, end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([header, *rows])
    return text.getvalue()


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def expected(called: Called, rows: list[list[str]]) -> list[str]:
    return called({"dataframe_split": {"columns": HEADER, "data": rows}})["predictions"]


def test_a_csv_object_is_scored_row_by_row(bucket: str) -> None:
    called = Called()
    put("in/a b+c.csv", "\ufeff" + table([*ROWS, ["forty", "1", "", ""], ["1"], [], ["33", "", "", ""]], end="\r\n"))
    done = called(created(bucket, quote_plus("in/a b+c.csv")))

    assert done == {"objects": [{"key": "in/a b+c.csv", "rows": 3, "refused": 3, "output": "output/in/a b+c.csv"}]}
    assert (called.metrics["Rows"], called.metrics["Refused"], called.metrics["Source"]) == (3, 3, "s3")
    scored = read(got("output/in/a b+c.csv"))
    assert [[row[name] for name in HEADER] for row in scored] == ROWS
    assert [row["prediction"] for row in scored] == expected(called, ROWS)
    refused = read(got("refused/in/a b+c.csv"))
    assert [(row["row"], row["reason"]) for row in refused] == [
        ("3", "column 'age': expected a number, found text"),
        ("4", "expected 4 fields, found 1"),
        ("5", "column 'x.y': a value is required, found none"),
    ]
    assert refused[0]["age"] == "forty"
    assert "forty" not in json.dumps(called.lines)


def test_json_lines_and_gzip(bucket: str) -> None:
    called = Called(OUTPUT="probabilities")
    records = [dict(zip(HEADER, row, strict=True)) for row in cases.ROWS[:3]]
    lines = [json.dumps(record) for record in records]
    lines += ["", "{", "[1]", json.dumps({"x.y": 1.0, "note": "kept"}), json.dumps({"age": 1})]
    put("in/a.jsonl.gz", gzip.compress("\n".join(lines).encode()))
    called(created(bucket, "in/a.jsonl.gz"))

    scored = [json.loads(line) for line in got("output/in/a.jsonl.gz").splitlines()]
    answers = called({"dataframe_records": records, "params": {"output": "probabilities"}})["predictions"]
    assert [row["probabilities"] for row in scored[:3]] == answers
    assert scored[3]["note"] == "kept"
    assert scored[3]["prediction"] in ("yes", "no")
    refused = [json.loads(line) for line in got("refused/in/a.jsonl.gz").splitlines()]
    assert [row["row"] for row in refused] == [3, 4, 6]
    assert refused[1]["reason"] == "expected an object of column names and values"
    assert refused[2] == {"row": 6, "reason": "column 'x.y': a value is required, found none", "record": {"age": 1}}


def test_a_csv_tells_probabilities_in_columns_of_their_own(bucket: str) -> None:
    called = Called(OUTPUT="probabilities")
    put("in/a.csv", table(ROWS[:1]))
    called(created(bucket, "in/a.csv"))
    (row,) = read(got("output/in/a.csv"))
    assert float(row["probability_yes"]) + float(row["probability_no"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "the object is empty"),
        ("a.csv", table([]), "has no rows"),
        ("a.csv", table(ROWS, ["age", "x_y", "owns", "it's"]), "column 'x.y': the column is required"),
        ("a.csv", table(ROWS, ["age", "age", "owns", "it's"]), "one column of this name"),
        ("a.csv", table(ROWS).encode("utf-16"), "not UTF-8"),
        ("a.csv", 'age,"x.y\n1,2', "not CSV"),
        ("a.csv.gz", b"not gzip", "not gzip"),
        ("a.csv.gz", gzip.compress(table(ROWS * 99).encode())[:-20], "not gzip, to its end"),
        ("a.jsonl", '{"age": 1}\n' * 5, "column 'x.y': the column is required"),
        ("a.parquet", b"PAR1", "expected an object named"),
    ],
)
def test_an_object_that_cannot_be_read_says_why_beside(bucket: str, name: str, content, says: str) -> None:
    called = Called()
    put(f"output/in/{name}", "of an earlier object of that name")
    put(f"in/{name}", content)
    (done,) = called(created(bucket, f"in/{name}"))["objects"]
    why = json.loads(got(f"refused/in/{name}.json"))
    assert says in why["message"]
    assert done["rows"] == 0
    assert keys() == [f"in/{name}", f"refused/in/{name}.json"]
    assert called.metrics["Refused"] == 1


def test_its_own_outputs_are_never_scored(bucket: str) -> None:
    called = Called()
    put("output/a.csv", table(ROWS))
    put("refused/a.csv", table(ROWS))
    assert called(created(bucket, "output/a.csv", "refused/a.csv", "in/"))["objects"] == []
    assert keys() == ["output/a.csv", "refused/a.csv"]
    with pytest.raises(Exception, match="the same"):
        Called(OUTPUT_PREFIX="x/", REFUSED_PREFIX="x/")(created(bucket, "a.csv"))


def test_outputs_may_go_to_another_bucket(bucket: str) -> None:
    boto3.client("s3").create_bucket(Bucket="elsewhere")
    put("output/a.csv", table(ROWS))
    Called(OUTPUT_BUCKET="elsewhere")(created(bucket, "output/a.csv"))
    assert keys("elsewhere") == ["output/output/a.csv"]


def test_a_repaired_object_leaves_nothing_of_the_broken_one(bucket: str) -> None:
    called = Called()
    for content, left in (
        (table([*ROWS, ["forty", "1", "", ""]]), ["in/a.csv", "output/in/a.csv", "refused/in/a.csv"]),
        ("", ["in/a.csv", "refused/in/a.csv.json"]),
        (table(ROWS), ["in/a.csv", "output/in/a.csv"]),
    ):
        put("in/a.csv", content)
        called(created(bucket, "in/a.csv"))
        assert keys() == left


def test_an_object_that_is_gone_is_raised_so_that_lambda_keeps_the_event(bucket: str) -> None:
    called = Called()
    with pytest.raises(Exception, match="NoSuchKey"):
        called(created(bucket, "in/gone.csv"))
    assert called.metrics["Errors"] == 1


def test_the_version_that_the_event_names_is_scored(bucket: str) -> None:
    client = boto3.client("s3")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put("in/a.csv", table(ROWS[:1]))
    version = client.head_object(Bucket=bucket, Key="in/a.csv")["VersionId"]
    put("in/a.csv", table(ROWS))
    event = created(bucket, "in/a.csv")
    event["Records"][0]["s3"]["object"]["versionId"] = version
    assert Called()(event)["objects"][0]["rows"] == 1


def test_a_large_object_goes_through_in_parts_and_is_not_held(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_PART", 5 * 1024 * 1024)
    count = 150_000
    row = ",".join(ROWS[0]) + "," + "x" * 60
    put("in/large.csv", ",".join([*HEADER, "note"]) + "\n" + f"{row}\n" * count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    called = Called()
    called(created(bucket, "in/large.csv"))
    assert called.metrics["Rows"] == count
    head = boto3.client("s3").head_object(Bucket=bucket, Key="output/in/large.csv")
    assert head["ETag"].strip('"').endswith("-3")  # of three parts
    assert got("output/in/large.csv").count("\n") == count + 1
    # The simulated S3 is in this process, and holds what it is given.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 200


def test_a_failure_half_way_leaves_nothing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_PART", 5 * 1024 * 1024)
    monkeypatch.setattr(objects, "_LONGEST", 1000)
    row = ",".join(ROWS[0])
    put("in/a.csv", ",".join(HEADER) + "\n" + f"{row}\n" * 250_000 + '"' + "x" * 5000)
    Called()(created(bucket, "in/a.csv"))
    assert keys() == ["in/a.csv", "refused/in/a.csv.json"]
    assert "Uploads" not in boto3.client("s3").list_multipart_uploads(Bucket=bucket)
