"""Wire formats with which nothing goes well, for the process that asks challengers."""

import os
import time

from serving.contract import RequestError
from serving.server.protocols.mlflow import MLflow


class Unwell(MLflow):
    """Fails as no protocol does."""

    def ask(self, request, version, limits):
        raise RuntimeError("an accident")


class Slow(MLflow):
    """Takes a second for each version."""

    def ask(self, request, version, limits):
        time.sleep(1)
        raise RequestError("slow")


class Dead(MLflow):
    """Ends its process."""

    def ask(self, request, version, limits):
        os._exit(3)
