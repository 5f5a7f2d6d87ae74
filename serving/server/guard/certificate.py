"""The TLS certificate of a server: checked at the start, and loaded again after it was renewed."""

import ssl

from registry.troubles import Troubles
from serving.errors import ServingError
from serving.server.files import stamp
from serving.server.log import say


class Certificate:
    """A certificate and its key, in files that may be replaced while the server runs.

    New connections get what the files hold. While they do not hold a certificate and its key, as between replacing the
    one and the other, the old certificate stays in use and the log says so once.

    Parameters
    ----------
    context : makes the connections; it has loaded the present certificate.
    """

    def __init__(self, context: ssl.SSLContext, certificate: str, key: str):
        self._context, self._files = context, (certificate, key)
        self._seen, self._troubles = self._stamps(), Troubles(say)

    def refresh(self) -> None:
        """Load the files again if they have changed; two system calls if they have not."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        try:
            # First into another context: one that is given only half of a pair keeps neither half.
            load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *self._files)
            load(self._context, *self._files)
        except ServingError as error:
            self._troubles.has("certificate", str(error), after="; the previous certificate stays in use")
        else:
            self._seen = stamps
            self._troubles.over("certificate", "the certificate can be read again")

    def _stamps(self) -> tuple:
        return tuple(map(stamp, self._files))


def load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a certificate and its key into a context.

    Raises
    ------
    ServingError
        if the files are no such pair, or the key is encrypted.
    """
    try:
        context.load_cert_chain(certificate, key, password=_no_pass_phrase)
    except (ssl.SSLError, OSError) as error:
        raise ServingError(
            f"--tls-cert and --tls-key are not a certificate and its key: {error.strerror or error}; "
            "check that both are PEM files and belong together"
        ) from None


def _no_pass_phrase() -> str:
    """Refuse a pass phrase: otherwise the library would ask for it at the terminal, in each process."""
    raise ServingError("--tls-key is encrypted; give a key without a pass phrase, in a file that only you can read")
