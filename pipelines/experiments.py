"""The MLflow experiment of a run: the one that is asked for, else the model's own; of the machine-learning kind."""

import contextlib
import re
from typing import TYPE_CHECKING

from pipelines.errors import PipelineError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

#: The tag by which MLflow's pages choose what they show of an experiment; without it they show generative AI's.
KIND_TAG = "mlflow.experimentKind"
#: Its value for the training of models.
MACHINE_LEARNING = "custom_model_development"

# MLflow's Default.
_DEFAULT_ID = "0"
# What every file system takes as the name of a folder, and more.
_LONGEST_FOLDER = 100


def chosen() -> str | None:
    """The id of the experiment that a user chose by MLflow's own means; None if it is MLflow's Default.

    That is by ``mlflow.set_experiment``, ``mlflow run --experiment-name`` or the variables ``MLFLOW_EXPERIMENT_NAME``
    and ``MLFLOW_EXPERIMENT_ID``.
    """
    # Nothing public tells it.
    from mlflow.tracking.fluent import _get_experiment_id

    found = _get_experiment_id()
    return None if found in (None, _DEFAULT_ID) else found


def named(client: "MlflowClient", name: str) -> str:
    """The id of the experiment of a name, which is made if there is none.

    Raises
    ------
    PipelineError
        if it was deleted.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        # Another process may make it meanwhile.
        try:
            return client.create_experiment(name, _artifacts(client, name), tags={KIND_TAG: MACHINE_LEARNING})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or not (found := client.get_experiment_by_name(name)):
                raise
    if found.lifecycle_stage != "active":
        raise PipelineError(
            f"the experiment {name!r} was deleted; `mlflow experiments restore --experiment-id "
            f"{found.experiment_id}` brings it back, --experiment names another"
        )
    return found.experiment_id


def _artifacts(client: "MlflowClient", name: str) -> str | None:
    """Where an experiment's artifacts go: beside those of Default; None where a server decides.

    Without a server MLflow would take the working folder, which is another one for each command.
    """
    from mlflow.exceptions import MlflowException

    if client.tracking_uri.startswith("http"):
        return None
    try:
        root, _, last = client.get_experiment(_DEFAULT_ID).artifact_location.rpartition("/")
    except MlflowException:  # deleted for good
        return None
    # Two names of one folder do no harm: each run has a folder of its own in it.
    folder = re.sub(r"[^\w-]+", "-", name, flags=re.ASCII)[:_LONGEST_FOLDER]
    return f"{root}/{folder}" if last == _DEFAULT_ID else None


def set_kind(client: "MlflowClient", experiment_id: str) -> None:
    """Tag an experiment as one of machine learning, unless somebody said what it is."""
    from mlflow.exceptions import MlflowException

    # Who may log a run need not be allowed to edit the experiment.
    with contextlib.suppress(MlflowException):
        if _guessed(client.get_experiment(experiment_id)):
            client.set_experiment_tag(experiment_id, KIND_TAG, MACHINE_LEARNING)


def _guessed(experiment: "Experiment") -> bool:
    """Whether nobody chose an experiment's kind: MLflow's pages mark their own guess as inferred."""
    kind = experiment.tags.get(KIND_TAG, "")
    return not kind or "inferred" in kind
