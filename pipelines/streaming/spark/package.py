"""This project's own packages, for the workers of a cluster, which have those of others."""

import hashlib
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pipelines
import registry
import serving

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PACKAGES = (pipelines, registry, serving)


def ship(session: "SparkSession", folder: Path, *, remote: bool) -> None:
    """Give the workers the code of this process; those of this process have it.

    Parameters
    ----------
    folder : for the archive, which is needed as long as the session is.
    remote : whether the session is one of Spark Connect.
    """
    if not remote and re.match(r"local(\[|$)", session.conf.get("spark.master", None) or ""):
        return
    made = folder / "package.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in _PACKAGES:
            root = Path(package.__path__[0])
            for file in sorted(root.rglob("*.py")):
                archive.write(file, file.relative_to(root.parent))
    # Of one name, a session has one content.
    path = made.rename(folder / f"lifecycle-{hashlib.sha256(made.read_bytes()).hexdigest()[:16]}.zip")
    session.addArtifacts(str(path), pyfile=True)
