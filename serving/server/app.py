"""The application: routes, admits, scores and answers a request, and reports it to telemetry."""

import asyncio
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from serving.contract import OUTPUTS, Limits, Question, RequestError, answers, costs, internal
from serving.contract.json_text import JSON
from serving.contract.limits import too_large
from serving.server.guard.admission import OPEN, Admission
from serving.server.guard.headers import standing
from serving.server.guard.keys import veiled, visible
from serving.server.http.exchange import Answer, Receive
from serving.server.log import say
from serving.server.memory import give_back, let_go, uncollected
from serving.server.messages import Headers, Request, Response
from serving.server.model_lookup import find_model, find_version, version_header
from serving.server.protocols import parquet
from serving.server.protocols.base import FEW, WireProtocol
from serving.server.pyfunc.client import ModelError
from serving.server.pyfunc.model import PyfuncModel
from serving.server.router import Route, Router
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedVersion
from serving.server.time_limit import Timed, late
from serving.server.traffic import choose

#: Smaller bodies are answered on the event loop once they are read, which takes some tens of milliseconds at most.
QUICK = 16 * 1024
#: Larger bodies than this (of JSON, and of other formats, which take longer to read), more rows, and answers that take
#: more memory, are processed in a thread, so that other requests do not wait.
LARGE, LARGE_OTHER = 512 * 1024, 64 * 1024
ROWS, ROWS_EXPLAINED = 2_000, 20
MEMORY = 4 * 1024 * 1024
#: Number of these threads. Scoring runs on one processor, whatever their number.
THREADS = 2

EXPLAIN = OUTPUTS[2]
T = TypeVar("T")

NO_PATH = "ENDPOINT_NOT_FOUND"
NO_METHOD = "METHOD_NOT_ALLOWED"


class App:
    """The application of one worker; ``served`` is replaced as a whole, so that a request sees one state.

    Parameters
    ----------
    limits : the largest request that is answered.
    observe : called with every answered request: ``observe(request, route, response, seconds, error)``.
    new_id : returns the id of a request, given its header ``X-Request-Id``.
    shadow : asks a challenger what it would answer: ``shadow(champion, challenger, protocol, request)``.
    record : hands an answered or failed prediction to the prediction log: ``record(request, protocol, response,
        seconds)``; None if there is none.
    look : updates ``served``; called if nothing is served, so that no starting worker refuses what another answers.
    """

    def __init__(
        self,
        settings: ServerSettings,
        served: Served,
        *,
        limits: Limits | None = None,
        router: Router,
        admission: Admission,
        observe: Callable[[Request, Route | None, Response, float, str], None],
        new_id: Callable[[bytes | None], str],
        shadow: Callable[[ServedVersion, ServedVersion, WireProtocol, Request], None],
        record: Callable[[Request, WireProtocol, Response, float], None] | None = None,
        look: Callable[[], None] = lambda: None,
    ):
        self.served, self._look = served, look
        self.limit(limits or settings.limits())
        self._time_limit, self._keyed = settings.time_limit, settings.keyed
        self._router, self._admission = router, admission
        self._observe, self._new_id, self._shadow, self._record = observe, new_id, shadow, record
        self._standing = {kind: _lines(headers) for kind, headers in standing(tls=settings.tls).items()}
        self._large = ThreadPoolExecutor(THREADS, thread_name_prefix="large")
        # Metrics do not wait for the large requests that they report.
        self._slow_routes = ThreadPoolExecutor(1, thread_name_prefix="routes")

    def limit(self, limits: Limits) -> None:
        """Change the largest request that is answered."""
        self.limits = limits
        # Small requests need little memory, and estimating it would take as long as reading them.
        self._small_limits = Limits(limits.body, limits.rows)

    def handle_now(self, request: Request) -> Answer | None:
        """Answer a prediction of a few rows; None for everything else, which ``handle`` answers.

        It does the same as ``handle`` does for such a request, without the cost of a task.
        """
        if len(request.body) > QUICK or request.encoding is not None:
            return None
        route = self._router.find(request.raw)
        if route is None or route.protocol is None or request.method not in route.methods:
            return None
        began = time.perf_counter()
        if parquet.named(request.kind):
            return None
        request.id = self._new_id(request.given)
        protocol, error = route.protocol, ""
        try:
            served = self._enter(request, route)
            try:
                chosen, beside = _chosen(request, route, served)
                if isinstance(chosen.card, PyfuncModel):
                    request.admitted = True
                    return None
                question = protocol.ask(request, chosen, self._small_limits)
                if question.table.count > FEW and _memory(question, chosen) > MEMORY:
                    request.admitted = True
                    return None
                found = answers(chosen.card, question.table, question.output, few=FEW)
                response = protocol.answer(question, found, chosen, request)
                _keep(request, question, found)
                if beside is not None:
                    self._shadow(chosen, beside, protocol, request)
            finally:
                self._admission.leave()
        except Exception as failure:
            response, error = self._refusal(failure, request, route)
        return self._answer(request, route, response, began, error)

    async def handle(self, request: Request, receive: Receive) -> Answer | None:
        """Answer any request; None if the client has disconnected."""
        began = time.perf_counter()
        route, error = None, ""
        request.id = self._new_id(request.given)
        try:
            route = self._router.find(request.raw)
            response = await self._respond(request, route, receive)
            if response is not None and len(response.body) > QUICK:
                self._admission.room(len(response.body), request.key)
        except Exception as failure:
            response, error = self._refusal(failure, request, route)
            let_go(failure)
        if response is None:
            return None
        return self._answer(request, route, response, began, error)

    def unsent(self, size: int) -> None:
        """See ``Admission.unsent``."""
        self._admission.unsent(size)

    def _enter(self, request: Request, route: Route) -> Served:
        """Admit a request, and return what it may see of the served models; ``leave`` must follow."""
        if not self.served.models:
            self._look()
        served = self.served
        name = route.model or (served.default if route.protocol else None) or ""
        key = self._admission.admit(
            route.access, request.headers, model=name, client=request.client, again=request.admitted
        )
        if key is None:
            return veiled(served) if self._keyed and route.access is OPEN else served
        request.key = key.name
        return visible(served, key)

    async def _respond(self, request: Request, route: Route | None, receive: Receive) -> Response | None:
        """The response; None if the client has disconnected."""
        if route is None:
            raise RequestError(
                "there is no such path; /models lists what is served, /docs explains it", status=404, code=NO_PATH
            )
        if request.method not in route.methods:
            return self._other_method(request, route)
        served = self._enter(request, route)
        try:
            if route.answer is not None:
                # The body is not read: some of these routes are open to everybody.
                answer = partial(route.answer, request, served, route)
                return await self._aside(answer, self._slow_routes) if route.aside else answer()
            # Before reading: the client may wait for 100 Continue.
            self._check_length(request)
            body = await self._whole(request, receive)
            if body is None:
                return None
            request.body = body
            assert route.protocol is not None  # it is the one or the other
            chosen, beside = _chosen(request, route, served)
            response = await self._predicted(request, route.protocol, chosen)
            if beside is not None:
                self._shadow(chosen, beside, route.protocol, request)
            return response
        finally:
            self._admission.leave(request.held)

    def _check_length(self, request: Request) -> None:
        """Refuse a body whose Content-Length is too large."""
        length = request.header(b"content-length")
        if length is not None and int(length) > self.limits.body:  # the parser has checked that it is a number
            raise too_large(self.limits)

    async def _whole(self, request: Request, receive: Receive) -> bytes | None:
        """The complete body; None if the client has disconnected."""
        parts = []
        while part := await receive():
            if request.held + len(part) > self.limits.body:
                raise too_large(self.limits)
            # Room is reserved as bytes arrive, so that a length that is only announced reserves none.
            self._admission.hold(len(part), request.key)
            request.held += len(part)
            parts.append(part)
        return None if part is None else b"".join(parts)

    async def _predicted(self, request: Request, protocol: WireProtocol, chosen: ServedVersion) -> Response:
        """A prediction: on the event loop if that takes a few milliseconds, otherwise in a thread."""
        card = chosen.card
        if isinstance(card, PyfuncModel):
            return await self._by_lane(request, protocol, chosen, card)
        if _small(request):
            question = protocol.ask(request, chosen, self._small_limits)
            most = ROWS_EXPLAINED if question.output == EXPLAIN else ROWS
            if question.table.count <= most and _memory(question, chosen) <= MEMORY:
                found = answers(card, question.table, question.output, few=FEW)
                _keep(request, question, found)
                return protocol.answer(question, found, chosen, request)
            del question  # it may have to wait; parsing again costs less than keeping it
        lease = self._admission.lease(self.limits, self._time_limit)

        def work() -> Response:
            with lease:
                with uncollected():
                    asked = protocol.ask(request, chosen, lease)
                lease.claim(_memory(asked, chosen))
                asked.table = Timed(asked.table, self._time_limit)
                found = answers(card, asked.table, asked.output, few=FEW)
                _keep(request, asked, found)
                return protocol.answer(asked, found, chosen, request)

        return await self._aside(work, self._large)

    async def _by_lane(
        self, request: Request, protocol: WireProtocol, chosen: ServedVersion, model: PyfuncModel
    ) -> Response:
        """A prediction of a model without a scorecard; only its lane waits for the model."""
        until = time.monotonic() + self._time_limit
        if _small(request):
            question = protocol.ask(request, chosen, self._small_limits)
            found = await self._found(question, model, until)
            _keep(request, question, found)
            return protocol.answer(question, found, chosen, request)
        with self._admission.lease(self.limits, self._time_limit) as lease:

            def ask() -> Question:
                with uncollected():
                    asked = protocol.ask(request, chosen, lease)
                lease.claim(_memory(asked, chosen))
                return asked

            question = await self._aside(ask, self._large)
            found = await self._found(question, model, until)
            _keep(request, question, found)
            return await self._aside(partial(protocol.answer, question, found, chosen, request), self._large)

    async def _found(self, question: Question, model: PyfuncModel, until: float) -> list:
        model.signature.check_outputs(question.outputs)
        try:
            return await model.lanes.ask(question.table, until, self.limits.body)
        except TimeoutError:
            raise late(self._time_limit) from None

    async def _aside(self, work: Callable[[], T], threads: ThreadPoolExecutor) -> T:
        """Run in a thread, within the time limit."""
        done = asyncio.get_running_loop().run_in_executor(threads, work)
        try:
            return await asyncio.wait_for(done, self._time_limit)
        except TimeoutError:
            raise late(self._time_limit) from None

    def _refusal(self, failure: Exception, request: Request, route: Route | None) -> tuple[Response, str]:
        """The response to a failed request, and the error code for the log."""
        if isinstance(failure, MemoryError):
            give_back()
            failure = self._admission.busy(request.key)
        elif isinstance(failure, ModelError):
            say(f"request {request.id}: the model failed: {failure.details}")
        elif not isinstance(failure, RequestError):
            say(f"request {request.id}: {''.join(traceback.format_exception(failure))}")
            failure = internal()
        response = self._router.speaker(request.path, route).refuse(failure)
        response.headers += getattr(failure, "headers", ())
        if (chosen := request.chosen) is not None:
            # Shows a challenger that refuses what the champion accepts.
            response.model, response.version = chosen.model, chosen.version
            response.headers.append((b"x-model-version", version_header(chosen.label)))
        return response, failure.code

    def _other_method(self, request: Request, route: Route) -> Response:
        allowed = (b"allow", ", ".join((*route.methods, "OPTIONS")).encode())
        if request.method == "OPTIONS":
            return Response(204, media_type=None, headers=(allowed,))
        wanted = " or ".join(route.methods)
        error = RequestError(f"expected the method {wanted}, found another", status=405, code=NO_METHOD)
        response = self._router.speaker(request.path, route).refuse(error)
        response.headers.append(allowed)
        return response

    def _answer(self, request: Request, route: Route | None, response: Response, began: float, error: str) -> Answer:
        """Format a response, and report it to telemetry."""
        body, kind = response.body, response.media_type
        head = b"%sx-request-id: %s\r\n" % (self._standing[response.kind], request.id.encode())
        for name, value in response.headers:
            head += b"%s: %s\r\n" % (name, value)
        if kind is not None:
            head += b"content-type: %s\r\ncontent-length: %d\r\n" % (kind, len(body))
        seconds = time.perf_counter() - began
        self._observe(request, route, response, seconds, error)
        if self._record is not None and request.chosen is not None and route is not None and route.protocol is not None:
            self._record(request, route.protocol, response, seconds)
        return response.status, head, body


def _keep(request: Request, question: Question, found: list) -> None:
    """Keep predictions for the prediction log; it computes them again for a request that asked for something else."""
    if question.output == OUTPUTS[0]:
        request.found = found


def _small(request: Request) -> bool:
    """Whether a body is parsed on the event loop: it takes some milliseconds, and does not grow when it is decoded."""
    if request.encoding is not None or parquet.named(request.kind):
        return False
    return len(request.body) <= (LARGE if request.kind == JSON else LARGE_OTHER)


def _memory(question: Question, chosen: ServedVersion) -> int:
    """Memory that an answer takes, in bytes."""
    if isinstance(chosen.card, PyfuncModel):
        return question.table.count * (len(chosen.card.inputs) * costs.SCORED_TEXT + costs.ANSWER)
    return costs.scoring(chosen.card, question.table.count, question.outputs)


def _chosen(request: Request, route: Route, served: Served) -> tuple[ServedVersion, ServedVersion | None]:
    """The version that answers, and the challenger to ask in the shadow, if any."""
    model = find_model(served, route.model)
    chosen, beside = choose(model, request) if route.version is None else (find_version(model, route.version), None)
    request.chosen = chosen
    return chosen, beside


def _lines(headers: Headers) -> bytes:
    return b"".join(b"%s: %s\r\n" % header for header in headers)
