"""A model's requirements beside what is installed: which package is missing, and which is another release."""

from importlib.metadata import version

from serving.models import requirements

WANTED = [
    "# made by MLflow",
    "mlflow==1.0",
    "numpy",
    "scikit_learn==0.24.2",
    "no-such.package[extra]==3.1 ; python_version>'3'",
]


def test_a_missing_package_is_told_with_the_release_that_the_model_wants() -> None:
    said = requirements.missing("no_such_package.part", WANTED)
    assert said.startswith("it needs the package 'no_such_package', which is not installed here; its requirements.txt ")
    assert "wants no-such.package==3.1: pip install it" in said
    assert "wants scikit_learn==0.24.2" in requirements.missing("sklearn.tree", WANTED)


def test_a_module_that_no_requirement_names_may_be_the_users_own() -> None:
    said = requirements.missing("features", WANTED)
    assert said.startswith("it needs the module 'features', which is not here, and its requirements.txt names no ")
    assert "`code_paths`" in said


def test_pins_that_differ_are_told_with_what_is_here() -> None:
    assert requirements.differing([*WANTED, f"pandas=={version('pandas')}", "-r other.txt"]) == [
        f"mlflow==1.0 (here: {version('mlflow')})",
        f"scikit_learn==0.24.2 (here: {version('scikit-learn')})",
        "no-such.package==3.1 (here: none)",
    ]
