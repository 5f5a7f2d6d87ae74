"""The policy: one strict file, and what may be different for a model."""

from pathlib import Path

import pytest

from registry import policy
from registry.errors import RegistryError
from registry.metrics import BY_NAME


@pytest.fixture
def written(tmp_path: Path):
    """Write a policy file; its path."""

    def write(text: str) -> Path:
        path = tmp_path / "policy.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_shipped_policy_names_every_gate_for_production():
    assert policy.read().default.gates_of("Production") == policy.GATES
    assert set(policy.read().default.gates_of("Staging")) < set(policy.GATES)


def test_the_shipped_policy_reads_every_key_and_explains_it():
    text = policy.SHIPPED.read_text(encoding="utf-8")
    for name in policy.GATES:
        assert name in text
    for metric in BY_NAME:
        assert metric in text


def test_a_commit_is_asked_for_in_production_alone():
    assert "lineage" not in policy.read().default.gates_of("Staging")
    assert policy.read().default.lineage.commit == "required"


def test_a_file_in_the_working_folder_is_found_and_others_overrule_it(written, tmp_path: Path, monkeypatch, caplog):
    caplog.set_level("INFO", "model_lifecycle")
    written("by_hand: flag\n")
    monkeypatch.chdir(tmp_path)
    assert (policy.read().default.by_hand, policy.read().own_file) == ("flag", tmp_path / "policy.yaml")
    assert [message for message in caplog.messages if "policy" in message] == ["policy: policy.yaml"]

    named, given = tmp_path / "named.yaml", tmp_path / "given.yaml"
    named.write_text("poll: 1\n")
    given.write_text("poll: 2\n")
    monkeypatch.setenv("LIFECYCLE_POLICY", str(named))
    assert (policy.read().poll, policy.read().path) == (1, named)
    assert (policy.read(given).poll, policy.read(given).path) == (2, given)


def test_without_a_file_the_shipped_policy_holds_and_says_where_ones_own_belongs(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = policy.read()
    assert (read.path, read.own_file) == (policy.SHIPPED, tmp_path / "policy.yaml")


def test_the_default_models_need_no_git_checkout_and_have_bounds():
    read = policy.read()
    assert read.default.lineage.commit == "required"
    assert (read.for_model("diabetes").lineage.commit, read.for_model("diabetes").bounds) == ("optional", {"rmse": 60})
    assert (read.for_model("breast_cancer").lineage.commit, read.for_model("breast_cancer").bounds) == (
        "optional",
        {"accuracy": 0.9},
    )


def test_a_file_changes_what_it_says_and_nothing_else(written):
    read = policy.read(written("champion: {margin: 0.5}\nby_hand: flag\n"))
    shipped = policy.read().default
    assert (read.default.champion.margin, read.default.by_hand) == (0.5, "flag")
    assert (read.default.champion.level, read.default.stages) == (shipped.champion.level, shipped.stages)
    # The shipped bounds of the two default models are the shipped file's.
    assert read.for_model("diabetes").bounds == {}


def test_a_model_has_its_own(written):
    read = policy.read(
        written("bounds: {rmse: 9}\nmodels:\n  german credit:\n    metric: log_loss\n    bounds: {log_loss: 0.6}\n")
    )
    own = read.for_model("german credit")
    assert (own.metric_of("classification"), own.metric_of("regression")) == ("log_loss", "rmse")
    assert own.bounds == {"rmse": 9, "log_loss": 0.6}
    assert read.for_model("another").metric_of("classification") == "accuracy"


def test_a_file_may_be_empty(written):
    assert policy.read(written("# nothing yet\n")).default == policy.read().default


def test_the_variable_names_a_file_and_the_option_goes_before_it(written, monkeypatch, tmp_path: Path):
    monkeypatch.setenv(policy.VARIABLE, str(written("poll: 3\n")))
    assert policy.read().poll == 3
    other = tmp_path / "other.yaml"
    other.write_text("poll: 1\n")
    assert policy.read(other).poll == 1


def test_a_model_has_its_own_traffic(written):
    read = policy.read(written("models:\n  wine: {serve: {traffic: canary}}\n  iris: {serve: {weight: 0.5}}\n"))
    found = [(own.serve.traffic, own.serve.weight) for own in map(read.for_model, ("wine", "iris", "another"))]
    assert found == [("canary", 0.1), ("none", 0.5), ("none", 0.1)]


def test_what_follows_is_read(written):
    read = policy.read(
        written(
            "follow:\n"
            "  - {command: make deploy, stages: [Production]}\n"
            "  - {webhook: 'https://example.com/x', secret: HOOK, timeout: 5, tries: 1}\n"
        )
    )
    command, webhook = read.default.follow
    assert (command.command, command.stages, command.timeout, command.tries) == ("make deploy", ("Production",), 60, 3)
    assert (webhook.webhook, webhook.secret, webhook.timeout, webhook.tries) == ("https://example.com/x", "HOOK", 5, 1)


WRONG = [
    ("metrik: rmse", "unknown key 'metrik'; did you mean 'metric'?"),
    ("xyzzy: 1", "unknown key 'xyzzy'; the keys are metric, bounds, "),
    ("bounds: {rsme: 3}", "unknown key 'bounds.rsme'; did you mean 'rmse'?"),
    ("bounds: {rmse: '60'}", "bounds.rmse: expected a number, found '60'"),
    ("bounds: {rmse: .inf}", "bounds.rmse: expected a number, found inf"),
    ("bounds: {rmse: yes}", "bounds.rmse: expected a number, found True"),
    ("models: {a: {bond: {rmse: 3}}}", "unknown key 'models.a.bond'; did you mean 'bounds'?"),
    ("models: {a: {poll: 1}}", "unknown key 'models.a.poll'"),
    ("models: {a: 3}", "models.a: expected keys, found 3"),
    ("models: [a]", "models: expected keys, found ['a']"),
    ("metric: {regression: accuracy}", "metric.regression: expected mse, rmse, r2 or mae, found 'accuracy'"),
    ("metric: acuracy", "recall, f1, roc_auc or log_loss, found 'acuracy'; did you mean 'accuracy'?"),
    ("suite: requird", "suite: expected required or optional, found 'requird'; did you mean 'required'?"),
    ("lineage: {commit: yes}", "lineage.commit: expected required, clean or optional, found True"),
    ("champion: {level: 95}", "champion.level: expected a number between 0 and 1, found 95"),
    ("champion: {fewest: 30.5}", "fewest: expected a whole number of at least 2 and at most 10000, found 30.5"),
    ("fairness: {gap: -1}", "fairness.gap: expected a number of at least 0, found -1"),
    ("fairness:", "fairness: expected keys (gap, fewest), found None"),
    ("stages: {Prod: []}", "unknown key 'stages.Prod'"),
    ("stages: {Production: [sute]}", "stages.Production.1: expected evidence, suite, "),
    ("stages: {Production: [suite, suite]}", "stages.Production: an item is repeated in ['suite', 'suite']"),
    ("by_hand: ignore", "by_hand: expected revert or flag, found 'ignore'"),
    ("serve: {traffic: blue}", "serve.traffic: expected none, shadow or canary, found 'blue'"),
    ("serve: {weight: 10}", "serve.weight: expected a number of at least 0 and at most 1, found 10"),
    ("models: {a: {serve: {wieght: 1}}}", "unknown key 'models.a.serve.wieght'; did you mean 'weight'?"),
    ("poll: 60", "poll: expected a number of at least 0.1 and at most 4, found 60"),
    ("follow: make", "follow: expected a list, found 'make'"),
    ("follow: [{comand: x}]", "unknown key 'follow.1.comand'; did you mean 'command'?"),
    ("follow: [{command: x, webhook: 'http://x'}]", "follow.1: expected either `command` or `webhook`"),
    ("follow: [{webhook: 'ftp://x'}]", "follow.1.webhook: expected an http or https address, found 'ftp://x'"),
    ("follow: [{command: x, secret: Y}]", "follow.1: `secret` signs a webhook, a command has none"),
    ("follow: [{command: x, name: ''}]", "without blanks around it, found ''"),
    ("follow: [{command: x, name: a}, {command: y, name: a}]", "follow: two are called 'a'; give each a name"),
    ('follow: [{command: x, name: "a\\nb"}]', "follow.1.name: expected a name of at most 80 printable characters"),
    ("follow: [{command: x, stages: [Prod]}]", "follow.1.stages.1: expected None, Staging, Production or Archived"),
    ("poll: 1\npoll: 2", "line 2: the key 'poll' is there twice"),
    ("models: {a: {suite: optional, suite: required}}", "line 1: the key 'suite' is there twice"),
    ("1: 2", "line 1: a key is a text, found 1; put it in quotes"),
    ("- rmse", "expected keys such as `metric:`, found a list"),
    ("bounds: {", "is no YAML: "),
    ("x: !!python/object/apply:os.system [echo]", "is no YAML: could not determine a constructor"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_what_is_wrong_is_told_on_one_line_with_the_file_and_the_key(written, text: str, says: str):
    path = written(text)
    with pytest.raises(RegistryError) as caught:
        policy.read(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert says in said
    assert "\n" not in said


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(RegistryError, match=r"No such file or directory; correct --policy or LIFECYCLE"):
        policy.read(tmp_path / "none.yaml")


def test_bytes_that_are_no_text(tmp_path: Path):
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00poll")
    with pytest.raises(RegistryError, match="is no YAML"):
        policy.read(path)
