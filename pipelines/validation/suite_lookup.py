"""Which suite a table is checked against: the one named, the dataset's own, Production's, or one drafted here."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

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


@dataclass(frozen=True)
class SuiteCheck:
    """A table that was judged by a suite.

    Parameters
    ----------
    origin : where the suite is from, in words.
    remedy : what to do if the table fails it.
    """

    suite: validation.Suite
    result: validation.SuiteResult
    origin: str
    remedy: str = validation.MEND

    def raise_for_critical(self) -> None:
        """Raise PipelineError if a critical expectation failed."""
        validation.raise_for_critical(self.result, self.remedy)


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
        paths = {file.path for file in client.list_artifacts(version.run_id, ARTIFACTS)}
        if f"{ARTIFACTS}/{SUITE}" not in paths:
            return None
        return validation.read_suite(Path(client.download_artifacts(version.run_id, f"{ARTIFACTS}/{SUITE}", folder)))


def check(
    asked: str, dataset: Dataset, split: Split, *, origin: Origin, model: str, roles: Roles, client: "MlflowClient"
) -> SuiteCheck:
    """Judge a table by its suite: all rows; where it has none, the held-out rows by one drafted from the others.

    Parameters
    ----------
    asked, origin, model, client : see :func:`find`; a drafted suite has the model's name.
    """
    suite, source = find(asked, origin=origin, model=model, client=client)
    if suite is not None:
        return SuiteCheck(suite, validation.validate(dataset.whole(), suite), source)
    suite = drafted(dataset, roles, name=model, rows=split.training)
    held_out = _modelled(dataset, roles).iloc[split.holdout]
    # Nobody wrote this suite: where it fails, the held-out rows are unlike the training rows.
    advice = "; ".join(split.notes) or "--id, --group or --time hold other rows out, --suite none skips the check"
    remedy = f"the suite was drafted from the training rows, which the held-out rows are unlike: {advice}"
    return SuiteCheck(suite, validation.validate(held_out, suite), source, remedy)


def drafted(dataset: Dataset, roles: Roles, *, name: str, rows: np.ndarray) -> validation.Suite:
    """A suite drafted from rows of the columns that the model is made of: features, target and the rows' ids."""
    frame = _modelled(dataset, roles).iloc[rows]
    return validation.draft(frame, name, target=dataset.target_name, task=dataset.task, identifiers=list(roles.id))


def _modelled(dataset: Dataset, roles: Roles) -> pd.DataFrame:
    # A later table has later times and other groups: nothing seen of them is to be expected again.
    modelled = {*dataset.features.columns, dataset.target_name, *roles.id}
    return dataset.whole()[[column for column in dataset.order if column in modelled]]


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
