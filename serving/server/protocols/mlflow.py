"""MLflow's scoring protocol, and the short forms beside it: JSON, CSV, JSON lines or Parquet, answered by JSON."""

import msgspec

from serving.contract import Limits, Question, RequestError, question, read
from serving.server.messages import Request, Response
from serving.server.model_lookup import header
from serving.server.protocols import parquet
from serving.server.protocols.base import Protocol
from serving.server.state import Version

#: Reads JSON as the contract's ``loads`` does; what it refuses, that one reads again.
parse = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class MLflow(Protocol):
    """``/invocations`` and ``/predict``."""

    name = "mlflow"

    def ask(self, request: Request, version: Version, limits: Limits) -> Question:
        kind, encoding = request.kind, request.encoding
        if parquet.named(kind):
            value = parquet.columns(request.body, encoding, version.card.inputs, limits)
        else:
            value = read(request.body, kind, encoding=encoding, limits=limits, parse=parse)
        return question(value, version.card.inputs, limits=limits)

    def answer(self, question: Question, found: list, version: Version, request: Request) -> Response:
        return Response(
            200,
            written(question.payload(found)),
            headers=((b"x-model-version", header(version.label)),),
            model=version.model,
            version=version.version,
            rows=len(found),
        )

    def refuse(self, error: RequestError) -> Response:
        return Response(error.status, written(error.payload()))


MLFLOW = MLflow()


def written(content: object) -> bytes:
    """A value as JSON; labels may be whole numbers of any size, which only the slow writer takes."""
    try:
        return encode(content)
    except (OverflowError, UnicodeEncodeError):
        import json

        return json.dumps(content, ensure_ascii=True).encode()
