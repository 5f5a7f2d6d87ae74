"""A plan of a package: its files, sizes, settings and permissions, before anything is written or called."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

ZIP, CONTAINER, FILES = "zip", "container", "files"


@dataclass(frozen=True)
class File:
    """A file of a package.

    Parameters
    ----------
    path : relative, with forward slashes.
    content : its bytes, or where they are.
    what : its purpose, in a few words.
    """

    path: str
    content: bytes | Path = field(repr=False)
    what: str = ""

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def read(self) -> bytes:
        """Its bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True)
class Limit:
    """A size that a target limits, and the limit; in bytes."""

    what: str
    size: int
    most: int

    @property
    def ok(self) -> bool:
        """True if size <= limit."""
        return self.size <= self.most


@dataclass(frozen=True)
class Permission:
    """Actions of the cloud that the package needs, on which resources, and what for."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class PackagePlan:
    """The files of a build, and the settings that the target is asked for.

    Parameters
    ----------
    target : its name in ``TARGETS``.
    variant : ``zip`` (a handler, with the scorecard or in front of an endpoint), ``container`` (an image: of MLflow's
        pyfunc, or of the server) or ``files`` (a function as it is uploaded, manifests).
    reason : why it is that variant, in words.
    name : what it is called in the cloud: the option ``name``, else made of the model's name.
    uri : as it was asked for. ``model`` and ``version`` are None where it is no registered one.
    digest : of the scorecard (``sha256:...``), or of the model's files where it has none.
    gates : what is known of the version's gates, in words; ``gated`` whether they passed.
    package : what goes into the archive (a zip) or the image's context (a container); empty for ``files``.
    beside : what is written beside it: templates, manifests.
    archive : the zip's name in the folder; None where there is none.
    zipped : bytes of the archive; None where there is none.
    limits : the target's, with what they are held against.
    settings : what the target is configured with, by the target's own words (JSON values).
    permissions : what the package is allowed, least first.
    environment : variables that the package is given.
    notes : what else there is to know, in words.
    commands : what to type next, to deploy what was built.
    """

    target: str
    variant: str
    reason: str
    name: str
    uri: str
    model: str | None
    version: str | None
    digest: str
    gates: str
    gated: bool
    package: tuple[File, ...]
    beside: tuple[File, ...] = ()
    archive: str | None = None
    zipped: int | None = None
    limits: tuple[Limit, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    permissions: tuple[Permission, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    #: Keeps a downloaded model's folder for as long as the plan is there.
    keep: Any = field(default=None, repr=False, compare=False)

    @property
    def unzipped(self) -> int:
        """Bytes of the package's files; of the files beside it where there are no others."""
        return sum(file.size for file in self.package or self.beside)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan for JSON: files with their sizes, without their bytes."""
        told = {**asdict(replace(self, package=(), beside=(), keep=None)), "unzipped": self.unzipped}
        del told["keep"]
        for part in ("package", "beside"):
            files: tuple[File, ...] = getattr(self, part)
            told[part] = [{"path": file.path, "size": file.size, "what": file.what} for file in files]
        return told


@dataclass(frozen=True)
class Built:
    """What a build has written.

    Parameters
    ----------
    folder : where everything is.
    path : the archive; the folder itself where there is none.
    sha256 : hexadecimal, of the archive's bytes, or of all files of the folder in order with their names.
    size : bytes of the archive, or of all files.
    """

    plan: PackagePlan
    folder: Path
    path: Path
    sha256: str
    size: int
