"""The certificate of a server that speaks HTTPS: looked at before it begins, and taken up anew when it is renewed."""

import os
import ssl

from serving.errors import ServingError
from serving.server.log import Troubles


class Certificate:
    """A certificate and its key, in files that may be replaced while the server runs.

    New connections get what the files hold. Where they hold no certificate and its key, as between the replacing of
    the one and of the other, the old one goes on to be shown, and the log says so once.

    Parameters
    ----------
    context : what connections are made by; it has the certificate of now.
    """

    def __init__(self, context: ssl.SSLContext, certificate: str, key: str):
        self._context, self._files = context, (certificate, key)
        self._seen, self._troubles = self._marks(), Troubles()

    def refresh(self) -> None:
        """Look at the files; costs two calls of the system where they are as before."""
        marks = self._marks()
        if marks == self._seen:
            return
        try:
            # First by itself: a context that is given one of the two is left without the other.
            load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._files)
            load(self._context, *self._files)
        except ServingError as error:
            self._troubles.has("certificate", str(error), after="; the certificate of before goes on to be shown")
        else:
            self._seen = marks
            self._troubles.over("certificate", "the certificate can be read again")

    def _marks(self) -> tuple:
        return tuple(_mark(file) for file in self._files)


def load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Give a context a certificate and its key.

    Raises
    ------
    ServingError
        where the files are none that belong together.
    """
    try:
        context.load_cert_chain(certificate, key, password=_ask_nobody)
    except (ssl.SSLError, OSError) as error:
        raise ServingError(
            f"--tls-cert and --tls-key are no certificate and its key: {error.strerror or error}; "
            "see that both are PEM, and belong together"
        ) from None


def _ask_nobody() -> str:
    """Refuse a pass phrase: without this the library asks whoever sits at the terminal, in each process."""
    raise ServingError("--tls-key is encrypted; give a key without a pass phrase, in a file that only you can read")


def _mark(file: str) -> tuple | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
