"""What a model URI means: its version, its files, its scorecard, an example row and the word of its gates.

Every command that takes a MODEL_URI begins with ``find(uri)``, which gives a :class:`ResolvedModel`. Importing this
package loads neither MLflow nor the registry's client: a model in a folder needs neither.
"""

from .model import ResolvedModel
from .uri import EXPECTED, ModelURI, find, registered

__all__ = ["EXPECTED", "ModelURI", "ResolvedModel", "find", "registered"]
