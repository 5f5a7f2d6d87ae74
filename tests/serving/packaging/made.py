"""Models and packages that tests of the targets start from: registered in words alone, so that no registry is asked."""

from pathlib import Path

from serving.packaging import Built, PackagePlan, build
from serving.packaging.model import PackagedModel
from serving.packaging.targets import target as find
from serving.scorecard import Scorecard
from tests.serving.contract import cases

NAME, VERSION = "made", "3"
#: A key, and what the options of the targets take of it.
KEY = "the key"
KEY_DIGEST = "3a0aac44832e55528a834fec737786c999e7b8dea8bd601bb59f195237d58b2e"


def model(
    folder: Path, card: Scorecard | None = None, *, name: str | None = NAME, version: str | None = VERSION
) -> PackagedModel:
    """A fetched model with a scorecard, whose gates passed."""
    card = card or cases.scorecard("labels")
    uri = f"models:/{name}/{version}" if version else str(folder)
    return PackagedModel(uri, name, version, card, "", folder, card.digest, "all passed", True)


def unsaid(folder: Path, uri: str = "models:/forest/1") -> PackagedModel:
    """A fetched model that no scorecard can say."""
    return PackagedModel(uri, "forest", "1", None, "it is a forest", folder, "sha256:" + "cd" * 32, "all passed", True)


def plan(made: PackagedModel, target: str, **options: str) -> PackagePlan:
    """The plan for a target, options as ``-C`` gives them."""
    found = find(target)
    return found.plan(made, found.read(options))


def built(made: PackagedModel, target: str, folder: Path, **options: str) -> Built:
    """A build in a folder that is not there yet."""
    return build(plan(made, target, **options), folder)
