"""What AWS Lambda calls where the model is MLflow's pyfunc, in an image that has all that it needs."""

import json
import os
from typing import TYPE_CHECKING, cast

from ..pyfunc import Pyfunc
from .handler import Handler

if TYPE_CHECKING:
    from ...contract.answers import AnsweringModel


def load(folder: str) -> Handler:
    """The handler of the model in ``model/`` and of ``about.json``, which are in a folder."""
    import mlflow.pyfunc

    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        about = json.loads(file.read())
    model = Pyfunc(mlflow.pyfunc.load_model(os.path.join(folder, "model")))
    return Handler(cast("AnsweringModel", model), about)  # ``web.asked`` and ``by_row`` are all that ask it
