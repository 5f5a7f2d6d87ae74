"""Which suite a table is checked against: the one named, the dataset's own, Production's, or one drafted here."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines import validation
from pipelines.dataset import Dataset, Roles
from pipelines.sources import BUNDLED, Origin
from pipelines.splitting import Split
from registry import stages
from registry.client import speaking

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Where a run keeps its validation.
ARTIFACTS = "validation"
SUITE = "suite.json"
RESULT = "result.json"
AUTO, NONE = "auto", "none"


def find(asked: str, *, origin: Origin, model: str, client: "MlflowClient") -> tuple[validation.Suite | None, str]:
    """The suite for a table and where it is from; None where one is to be drafted.

    Parameters
    ----------
    asked : a path, a suite's name, or ``"auto"``: the dataset's own suite, else that of the model's champion.

    Raises
    ------
    PipelineError
        where a named suite is not there or is no suite.
    """
    if asked != AUTO:
        return validation.read_suite(asked), asked
    own = origin.name if origin.name in validation.shipped() else ""
    # A file that happens to be called like a bundled table is another table.
    if own and (own not in BUNDLED or origin.source == f"scikit-learn:{own}"):
        return validation.read_suite(own), f"the suite of {own}"
    champion = stages.champion(client, model)
    if champion is not None and (suite := of_version(client, champion)):
        return suite, f"the suite of {model} version {champion.version} in Production"
    return None, "drafted from the training rows"


def of_version(client: "MlflowClient", version) -> validation.Suite | None:
    """The suite a version's table was checked against; None where its run has none."""
    with speaking(), tempfile.TemporaryDirectory() as folder:
        if not version.run_id:
            return None
        paths = {found.path for found in client.list_artifacts(version.run_id, ARTIFACTS)}
        if f"{ARTIFACTS}/{SUITE}" not in paths:
            return None
        return validation.read_suite(Path(client.download_artifacts(version.run_id, f"{ARTIFACTS}/{SUITE}", folder)))


def check(
    suite: validation.Suite | None, dataset: Dataset, split: Split, *, name: str, roles: Roles
) -> tuple[validation.Suite, validation.SuiteResult]:
    """Judge a table: by the suite all its rows; without one, the held-out rows by what is drafted from the others.

    Parameters
    ----------
    name : the name of a drafted suite.

    Returns
    -------
    the suite, and what it found.
    """
    if suite is not None:
        return suite, validation.validate(dataset.whole(), suite)
    suite = drafted(dataset, roles, name=name, rows=split.training)
    needed = [column for column in dataset.order if column in _columns_of(dataset, roles)]
    return suite, validation.validate(dataset.whole()[needed].iloc[split.holdout], suite)


def drafted(dataset: Dataset, roles: Roles, *, name: str, rows: np.ndarray) -> validation.Suite:
    """A suite drafted from rows of the columns that the model is made of: features, target and the rows' ids."""
    needed = [column for column in dataset.order if column in _columns_of(dataset, roles)]
    frame = dataset.whole()[needed].iloc[rows]
    return validation.draft(frame, name, target=dataset.target_name, task=dataset.task, identifiers=list(roles.id))


def _columns_of(dataset: Dataset, roles: Roles) -> set[str]:
    # A later table has later times and other groups: nothing seen of them is to be expected again.
    return {*dataset.features.columns, dataset.target_name, *roles.id}


def write(suite: validation.Suite, result: validation.SuiteResult, folder: Path) -> Path:
    """Write the suite, its result and the Data Docs page into a folder; the page's path.

    Raises
    ------
    PipelineError
        where a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    validation.write_suite(suite, folder / SUITE)
    validation.write_result(result, folder / RESULT)
    return validation.write_data_docs(result, folder)
