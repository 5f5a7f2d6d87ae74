"""The process that runs a model's own code: it loads the model, answers tables, compiles and measures.

``python -m serving.models.native.process MODEL_FOLDER EXCHANGE_FOLDER REPLIES`` reads requests from standard input and
writes replies to the file descriptor REPLIES, see ``messages``; tables are Arrow files in the exchange folder. It ends
when its input does. What the model prints goes wherever the standard output does, and never among the replies.
"""

import os
import queue
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from registry.cli.text import one_line
from serving.errors import ServingError
from serving.models.native import inside, messages, redacting
from serving.models.native.messages import AnswerRequest, CompileRequest, Failed, ParityRequest


def main(model: str, exchange: str, replies: str) -> None:
    """Serve requests until the input ends."""
    asked = _requests()
    os.set_inheritable(int(replies), False)
    with os.fdopen(int(replies), "wb", buffering=0) as out:
        served = _Model(Path(model), Path(exchange))
        out.write(msgspec.json.encode(_guarded(served.load)) + b"\n")
        for request in asked:
            out.write(msgspec.json.encode(_guarded(partial(served.answer, request))) + b"\n")


def _requests() -> Iterator[messages.Request]:
    """Requests as they come. A thread reads them, which ends the process when there is nobody to reply to."""
    source = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    waiting: queue.Queue[bytes] = queue.Queue()

    def listen() -> None:
        for line in source:
            waiting.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    decoder = msgspec.json.Decoder(messages.Request)
    while True:
        yield decoder.decode(waiting.get())


def _guarded(work: Callable[[], messages.Reply]) -> messages.Reply:
    """What some work replies, or how it failed: a model's code may raise anything, and call ``sys.exit``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    except ServingError as error:
        return Failed(None, str(error))
    except redacting.CodeError as error:
        return Failed(error.name, one_line(error), _missing_module(error.__cause__))
    except BaseException as error:
        return Failed(type(error).__name__, one_line(error), _missing_module(error))


def _missing_module(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name
        error = error.__cause__ or error.__context__
    return None


class _Model:
    """A loaded model.

    ``predict`` is MLflow's ``python_function``, ``fitted`` the object inside it: a scikit-learn pipeline, say; None if
    it does not show it.
    """

    def __init__(self, folder: Path, exchange: Path) -> None:
        self.folder, self.exchange = folder, exchange
        self.predict: Callable[[Any], Any]
        self.fitted: Any = None
        self.flavors: dict[str, Any] = {}

    def load(self) -> messages.Loaded:
        from registry import client as registry_client

        registry_client.settle()
        import mlflow

        registry_client.settle()  # importing MLflow sets the level of its own logger
        loaded = mlflow.pyfunc.load_model(str(self.folder))
        self.predict, self.flavors = loaded.predict, loaded.metadata.flavors
        self.fitted = inside.fitted(loaded, self.folder)
        return inside.described(self.fitted, compilable=inside.compilable(self.flavors))

    def answer(self, request: messages.Request) -> messages.Reply:
        match request:
            case CompileRequest():
                return self._compile(request)
            case AnswerRequest():
                return self._answer(request)
            case ParityRequest():
                return self._parity(request)

    def _compile(self, request: CompileRequest) -> messages.Compiled:
        from serving.models.native import compiling

        try:
            card = compiling.compile_model(self.fitted, self.flavors, request)
        except compiling.Impossible as error:
            return messages.Compiled(str(error))
        (self.exchange / messages.CARD).write_text(card.dumps(), encoding="utf-8")
        return messages.Compiled()

    def _answer(self, request: AnswerRequest) -> messages.Answered:
        from serving.models.native import answering

        table = answering.table(self.exchange / request.rows, request.layout)
        with redacting.data_of(table):
            found = answering.answers(
                self.predict, self.fitted, inside.method(self.flavors), table, probabilities=request.probabilities
            )
        name = messages.answers_to(request.rows)
        answering.write(found, self.exchange / name)
        return messages.Answered(name, found.probabilities is not None)

    def _parity(self, request: ParityRequest) -> messages.Measured:
        from serving.models.native import answering
        from serving.scorecard import Scorecard, parity

        card = Scorecard.loads(Path(request.card).read_text(encoding="utf-8"))
        table = answering.table(self.exchange / request.rows, request.layout)
        return messages.Measured(parity.measure(self.fitted, card, table))


if __name__ == "__main__":
    main(*sys.argv[1:])
