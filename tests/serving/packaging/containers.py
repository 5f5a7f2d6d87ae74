"""A container of the docker target's image: its entry point, run by this Python with a platform's variables."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import stores
from tests.serving.packaging.test_docker import Image, Running
from tests.serving.server import servers


@contextlib.contextmanager
def running(context: Path, folder: Path, *, port: str = "SERVING_PORT", **variables: str) -> Iterator[Running]:
    """Start the entry point in a build context, and wait until it is healthy.

    Parameters
    ----------
    folder : what may be written.
    port : the variable that tells the port.
    variables : all others that the platform sets.
    """
    image = Image(context, Path(sys.executable), ["python", "/app/start.py", "serve"], {"SERVING_HOST": "127.0.0.1"})
    more = {"TMPDIR": str(folder), port: str(stores.free_port()), **variables}
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            image.words(image.command), env=image.environment(**more), cwd="/", stdout=out, stderr=out
        )
    found = Running(image, int(more[port]), process, more)
    try:
        servers.wait(found.healthy, log.read_text)
        yield found
    finally:
        if process.poll() is None:
            found.stop()
