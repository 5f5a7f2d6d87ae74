"""What the image runs: the server with the version that is in it; with ``health``, a question whether that is ready."""

import http.client
import json
import os
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
#: Where something may be written, the first of them that can: the image itself may be read-only.
WRITABLE = ("/tmp", "/dev/shm")
#: Seconds that the server may take to say whether it is ready.
PATIENCE = 3


def main(words: list) -> int:
    """The program; its exit code."""
    if words[:1] == ["health"]:
        return health()
    return serve(words[1:] if words[:1] == ["serve"] else words)


def serve(words: list) -> int:
    """Serve until told to stop; further words are options of ``python -m serving serve``."""
    with open(os.path.join(HERE, "about.json"), encoding="utf-8") as file:
        about = json.load(file)
    expected = os.environ.get("EXPECTED_DIGEST")
    if expected and expected != about["digest"]:
        return _refused(f"this image holds the model {about['digest']}, and EXPECTED_DIGEST asks for {expected}")
    places = (os.environ.get("TMPDIR", ""), *WRITABLE)
    place = next((one for one in places if one and os.access(one, os.W_OK | os.X_OK)), None)
    if place is None:
        return _refused(f"nothing can be written in {' or '.join(WRITABLE)}: mount one of them, as by --tmpfs /tmp")
    # Python's own temporary files go there, too.
    os.environ["TMPDIR"] = place
    os.environ.setdefault("SERVING_CACHE", os.path.join(place, "serving-cache"))

    from registry.cli.commands import run
    from serving.__main__ import cli

    models = os.path.join(HERE, "model")
    sys.argv = ["serving", "serve", *words, *(os.path.join(models, name) for name in os.listdir(models))]
    run(cli)
    return 0


def health() -> int:
    """Ask the server in this container whether it is ready: 0, and 1 where it is not."""
    port = int(os.environ.get("SERVING_PORT") or os.environ.get("AIP_HTTP_PORT") or 8080)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    if os.environ.get("SERVING_TLS_CERT"):
        # The certificate is the server's name's, not this address's.
        trusting = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=trusting)
    try:
        connection.request("GET", "/ready")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


def _refused(why: str) -> int:
    print(f"error: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
