"""MLflow's scoring protocol and the short forms: JSON, CSV, JSON lines or Parquet, answered by JSON."""

import msgspec

from serving.contract import Limits, Question, RequestError, read
from serving.server.messages import Request, Response
from serving.server.model_lookup import version_header
from serving.server.protocols import parquet
from serving.server.protocols.base import WireProtocol
from serving.server.state import ServedVersion

#: Parses JSON faster than the contract's ``loads``, which parses again what this refuses.
parse = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class MLflow(WireProtocol):
    """``/invocations`` and ``/predict``."""

    name = "mlflow"

    def ask(self, request: Request, version: ServedVersion, limits: Limits) -> Question:
        kind, encoding = request.kind, request.encoding
        if parquet.named(kind):
            value = parquet.columns(request.body, encoding, version.card.inputs, limits)
        else:
            value = read(request.body, kind, encoding=encoding, limits=limits, parse=parse)
        return version.question(value, limits)

    def answer(self, question: Question, found: list, version: ServedVersion, request: Request) -> Response:
        return Response(
            200,
            written(question.payload(found)),
            headers=((b"x-model-version", version_header(version.label)),),
            model=version.model,
            version=version.version,
            rows=question.table.count,
        )

    def refuse(self, error: RequestError) -> Response:
        return Response(error.status, written(error.payload()))


MLFLOW = MLflow()


def written(content: object) -> bytes:
    """Encode a value as JSON; labels may be integers of any size, which only the slow encoder accepts."""
    try:
        return encode(content)
    except (OverflowError, UnicodeEncodeError):
        import json

        return json.dumps(content, ensure_ascii=True).encode()
