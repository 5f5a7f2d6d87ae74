"""Where the lanes of a version are found: their sockets, and the reasons for which they do not run."""

import contextlib
import hashlib
import resource
from dataclasses import dataclass
from pathlib import Path

#: The folder of the lanes, within the folder that a server's processes share.
FOLDER = "lanes"


@dataclass(frozen=True)
class LaneState:
    """A lane at one moment.

    Parameters
    ----------
    up : whether it answers.
    starts : how often it was started.
    memory : resident, in bytes; 0 where the system does not tell.
    """

    number: int
    up: bool
    starts: int
    memory: int


@dataclass(frozen=True)
class LanePlaces:
    """The files of one version's lanes.

    Parameters
    ----------
    folder : that the processes of the server share.
    key : of the model's files and its interpreter.
    processes : number of lanes.
    """

    folder: Path
    key: str
    processes: int

    @classmethod
    def of(cls, folder: str, digest: str, python: str, processes: int) -> "LanePlaces":
        """The places of a model's lanes.

        Parameters
        ----------
        folder : that the processes of the server share.
        digest : of the model's files.
        python : the interpreter that runs it; empty for the server's.
        """
        # Short: the path of a socket has at most 107 bytes.
        key = hashlib.sha256(f"{digest} {python}".encode()).hexdigest()[:16]
        return cls(Path(folder) / FOLDER, key, processes)

    def socket(self, number: int) -> Path:
        """The socket of a lane; it exists while the lane answers."""
        return self.folder / f"{self.key}-{number}"

    def sockets(self) -> list[Path]:
        """The sockets of all lanes."""
        return [self.socket(number) for number in range(self.processes)]

    def record(self, number: int) -> Path:
        """The file in which the supervisor writes a lane's process and how often it was started."""
        return self.folder / f"{self.key}-{number}.record"

    def states(self) -> list["LaneState"]:
        """What each lane does now."""
        return [self._state(number) for number in range(self.processes)]

    def _state(self, number: int) -> "LaneState":
        try:
            process, starts = map(int, self.record(number).read_text().split())
        except (OSError, ValueError):
            return LaneState(number, up=False, starts=0, memory=0)
        memory = 0
        with contextlib.suppress(OSError, ValueError, IndexError):
            memory = int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * resource.getpagesize()
        return LaneState(number, self.socket(number).exists(), starts, memory)

    @property
    def reason(self) -> Path:
        """The file with the reason for which the last lane that ended did, one line."""
        return self.folder / f"{self.key}.reason"

    def ready(self) -> bool:
        """Whether a lane answers."""
        return any(path.exists() for path in self.sockets())

    def failure(self) -> str:
        """Why no lane answers; empty if one does, or none has ended yet."""
        if self.ready():
            return ""
        try:
            return self.reason.read_text(encoding="utf-8")
        except OSError:
            return ""
