"""The application: a request's way from its route to its answer, and to the log."""

import asyncio
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from serving.contract import OUTPUTS, Limits, Question, RequestError, answers, costs, internal
from serving.contract.bodies import JSON, too_large
from serving.server.guard.admission import OPEN, Admission
from serving.server.guard.headers import standing
from serving.server.guard.keys import veiled, visible
from serving.server.http.exchange import Answer, Receive
from serving.server.log import say
from serving.server.memory import give_back, let_go, uncollected
from serving.server.messages import Headers, Request, Response
from serving.server.model_lookup import header, model, version
from serving.server.protocols import parquet
from serving.server.protocols.base import FEW, WireProtocol
from serving.server.router import Route, Router
from serving.server.settings import ServerSettings
from serving.server.state import Served, ServedVersion
from serving.server.traffic import choose

#: Smaller bodies are read, scored and answered at once: they take some tens of milliseconds at most, whatever they ask.
QUICK = 16 * 1024
#: Larger bodies than this (of JSON, and of other formats, which take longer to read), questions of more rows, and
#: those whose answers take more memory, are seen to in a thread, beside the requests of others.
LARGE, LARGE_OTHER = 512 * 1024, 64 * 1024
ROWS, ROWS_EXPLAINED = 2_000, 20
MEMORY = 4 * 1024 * 1024
#: Threads for these; others of them wait. Scoring runs on one processor, whatever their number.
THREADS = 2

EXPLAIN = OUTPUTS[2]

NO_PATH = "ENDPOINT_NOT_FOUND"
NO_METHOD = "METHOD_NOT_ALLOWED"
LATE = "DEADLINE_EXCEEDED"


class App:
    """The application of one worker; ``served`` is replaced as a whole, and a request sees one of them.

    Parameters
    ----------
    limits : the largest request that is answered.
    admission : the door.
    observe : is told of every request that was answered: ``observe(request, route, response, seconds, error)``.
    new_id : gives the id of a request, from what its header ``X-Request-Id`` says.
    shadow : is asked what a challenger would have answered: ``shadow(champion, challenger, protocol, request)``.
    look : looks whether there is something to serve, and sets ``served``; asked where there was nothing: of several
        workers that begin, none is to say so while another answers.
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
        look: Callable[[], None] = lambda: None,
    ):
        self.served, self._look = served, look
        self.limit(limits or settings.limits())
        self._time_limit, self._keyed = settings.time_limit, settings.keyed
        self._router, self._admission = router, admission
        self._observe, self._new_id, self._shadow = observe, new_id, shadow
        self._standing = {kind: _lines(headers) for kind, headers in standing(tls=settings.tls).items()}
        self._large = ThreadPoolExecutor(THREADS, thread_name_prefix="large")
        # Metrics do not wait for large requests: they are to tell of them.
        self._shown = ThreadPoolExecutor(1, thread_name_prefix="shown")

    def limit(self, limits: Limits) -> None:
        """From now on answer no larger requests than these."""
        self.limits = limits
        # What is read here is too small to need much, and counting would take as long as reading.
        self._small_limits = Limits(limits.body, limits.rows)

    def handle_now(self, request: Request) -> Answer | None:
        """Answer a prediction of a few rows; None for all else, which ``handle`` answers.

        It is what ``handle`` comes to where nothing has to be waited for, without what waiting costs.
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
                question = protocol.ask(request, chosen, self._small_limits)
                if question.table.count > FEW and _memory(question, chosen) > MEMORY:
                    request.admitted = True
                    return None
                found = answers(chosen.card, question.table, question.output, few=FEW)
                response = protocol.answer(question, found, chosen, request)
                if beside is not None:
                    self._shadow(chosen, beside, protocol, request)
            finally:
                self._admission.leave()
        except Exception as failure:
            response, error = self._refusal(failure, request, route)
        return self._answer(request, route, response, began, error)

    async def handle(self, request: Request, receive: Receive) -> Answer | None:
        """Answer any request; None if the client has gone."""
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
        """Let a request in; what is served, as far as it may see that. ``leave`` must follow."""
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
        """The response; None where the client has gone."""
        if route is None:
            raise RequestError(
                "there is no such path; /models lists what is served, /docs explains it", status=404, code=NO_PATH
            )
        if request.method not in route.methods:
            return self._other_method(request, route)
        served = self._enter(request, route)
        try:
            if route.answer is not None:
                # Whatever body it has is not read: some of these routes are open to everybody.
                told = partial(route.answer, request, served, route)
                return await self._aside(told, self._shown) if route.aside else told()
            # Before the first of it is asked for: a client may wait to be told whether to send it.
            self._small(request)
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

    def _small(self, request: Request) -> None:
        """Refuse a body that is announced as too large."""
        length = request.header(b"content-length")
        if length is not None and int(length) > self.limits.body:  # the parser has seen that it is a number
            raise too_large(self.limits)

    async def _whole(self, request: Request, receive: Receive) -> bytes | None:
        """The whole body; None if the client has gone."""
        parts = []
        while part := await receive():
            if request.held + len(part) > self.limits.body:
                raise too_large(self.limits)
            # Room is taken as bytes come: who announces many and sends none takes it from nobody.
            self._admission.hold(len(part), request.key)
            request.held += len(part)
            parts.append(part)
        return None if part is None else b"".join(parts)

    async def _predicted(self, request: Request, protocol: WireProtocol, chosen: ServedVersion) -> Response:
        """A prediction: here where that takes a few milliseconds at most, else in a thread."""
        if _small(request):
            question = protocol.ask(request, chosen, self._small_limits)
            most = ROWS_EXPLAINED if question.output == EXPLAIN else ROWS
            if question.table.count <= most and _memory(question, chosen) <= MEMORY:
                found = answers(chosen.card, question.table, question.output, few=FEW)
                return protocol.answer(question, found, chosen, request)
            del question  # it may have to wait, and is read again rather than kept
        lease = self._admission.lease(self.limits, self._time_limit)

        def work() -> Response:
            with lease:
                with uncollected():
                    asked = protocol.ask(request, chosen, lease)
                lease.claim(_memory(asked, chosen))
                asked.table = Timed(asked.table, self._time_limit)
                found = answers(chosen.card, asked.table, asked.output, few=FEW)
                return protocol.answer(asked, found, chosen, request)

        return await self._aside(work, self._large)

    async def _aside(self, work: Callable[[], Response], threads: ThreadPoolExecutor) -> Response:
        """Answer in a thread, within the time limit."""
        done = asyncio.get_running_loop().run_in_executor(threads, work)
        try:
            return await asyncio.wait_for(done, self._time_limit)
        except TimeoutError:
            raise late(self._time_limit) from None

    def _refusal(self, failure: Exception, request: Request, route: Route | None) -> tuple[Response, str]:
        """The response to a request that fails, and the error's code for the log."""
        if isinstance(failure, MemoryError):
            give_back()
            failure = self._admission.busy(request.key)
        elif not isinstance(failure, RequestError):
            say(f"request {request.id}: {''.join(traceback.format_exception(failure))}")
            failure = internal()
        response = self._router.speaker(request.path, route).refuse(failure)
        response.headers += getattr(failure, "headers", ())
        if (chosen := request.chosen) is not None:
            # A challenger that refuses what the champion takes is to be seen.
            response.model, response.version = chosen.model, chosen.version
            response.headers.append((b"x-model-version", header(chosen.label)))
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
        """A response as it is sent; it is told to whoever watches."""
        body, kind = response.body, response.media_type
        head = b"%sx-request-id: %s\r\n" % (self._standing[response.kind], request.id.encode())
        for name, value in response.headers:
            head += b"%s: %s\r\n" % (name, value)
        if kind is not None:
            head += b"content-type: %s\r\ncontent-length: %d\r\n" % (kind, len(body))
        self._observe(request, route, response, time.perf_counter() - began, error)
        return response.status, head, body


def _small(request: Request) -> bool:
    """Whether a body is read here, and not in a thread: one that takes some milliseconds, and is what it seems."""
    if request.encoding is not None or parquet.named(request.kind):
        return False
    return len(request.body) <= (LARGE if request.kind == JSON else LARGE_OTHER)


def _memory(question: Question, chosen: ServedVersion) -> int:
    """Bytes of memory that an answer takes."""
    return costs.scoring(chosen.card, question.table.count, question.outputs)


def _chosen(request: Request, route: Route, served: Served) -> tuple[ServedVersion, ServedVersion | None]:
    """Who answers, and who is asked beside."""
    found = model(served, route.model)
    chosen, beside = choose(found, request) if route.version is None else (version(found, route.version), None)
    request.chosen = chosen
    return chosen, beside


def _lines(headers: Headers) -> bytes:
    return b"".join(b"%s: %s\r\n" % header for header in headers)


class Timed:
    """A table whose rows end when the time is up."""

    def __init__(self, table, limit: float):
        self._table, self._until, self._limit = table, time.monotonic() + limit, limit
        self.count, self.uniform = table.count, table.uniform

    def rows(self):
        for row in self._table.rows():
            self._check()
            yield row

    def columns(self, inputs):
        self._check()
        return self._table.columns(inputs)

    def foreign(self, inputs):
        return self._table.foreign(inputs)

    def _check(self) -> None:
        if time.monotonic() > self._until:
            raise late(self._limit)


def late(limit: float) -> RequestError:
    """The refusal of a request that takes too long."""
    return RequestError(
        f"the request took longer than {limit:g} s; ask for fewer rows at a time", status=504, code=LATE
    )
