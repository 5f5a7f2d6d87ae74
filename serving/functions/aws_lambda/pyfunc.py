"""What AWS Lambda calls where the model is MLflow's pyfunc, in an image that has all that it needs."""

import json
import os

from ..pyfunc import Pyfunc
from .handler import Handler


def load(folder: str) -> Handler:
    """The handler of the model in ``model/`` and of ``about.json``, which are in a folder."""
    import mlflow.pyfunc

    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        about = json.loads(file.read())
    return Handler(Pyfunc(mlflow.pyfunc.load_model(os.path.join(folder, "model"))), about)
