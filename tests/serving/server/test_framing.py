"""Where one request ends and the next begins: the same whatever pieces the bytes come in, and whatever comes before."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import h11
import pytest

from tests.serving.server import cards, servers
from tests.serving.server.wire import Wire

#: The requests that the tests of the server send, by ``recording``.
REQUESTS = [
    json.loads(line).encode("latin-1") for line in (Path(__file__).parent / "requests.jsonl").read_text().splitlines()
]

SERVED = cards.served(
    cards.model("sums", servers.regression()),
    cards.model("visits", servers.classification()),
    cards.model("people", cards.people(), challenger=cards.people(1)),
    cards.model("flowers", cards.flowers()),
    cards.model("line", cards.line()),
    default="sums",
)

BODY = json.dumps({"dataframe_records": [servers.NUMBERS]}).encode()
ASK = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
CHUNKS = b"%x\r\n%s\r\n%x;name=value\r\n%s\r\n0\r\nX-After: 1\r\n\r\n" % (9, BODY[:9], len(BODY) - 9, BODY[9:])
#: What a request smuggled in a body would be answered by: 404, with a message of its own.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

#: Heads and bodies at the edges of what is valid, and the status of their answer.
VALID = {
    "length": (ASK + LENGTH + b"\r\n" + BODY, 200),
    "chunks": (ASK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, 200),
    "chunks, in capitals": (ASK + b"TRANSFER-ENCODING: \t Chunked \r\n\r\n" + CHUNKS, 200),
    "offers HTTP/2": (ASK + OFFER + LENGTH + b"\r\n" + BODY, 200),
    "offers HTTP/2, in chunks": (ASK + OFFER + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, 200),
    "offers a web socket": (
        b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        200,
    ),
    "offers, and a request in the body": (
        ASK + OFFER + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        400,
    ),
    "a request in the body": (ASK + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, 400),
    "a request in the body of one that is refused": (
        b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        404,
    ),
    "no body": (b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "a body that nobody reads": (b"GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 200),
    "an absolute target": (b"GET http://x/live?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "empty lines before": (b"\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "names that look alike": (
        ASK + LENGTH + b"Content_Length: 0\r\nTransfer_Encoding: chunked\r\n\r\n" + BODY,
        200,
    ),
    "HTTP/1.0": (b"GET /live HTTP/1.0\r\n\r\n", 200),
    "HTTP/1.0, kept alive": (b"GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    "the last": (ASK + b"Connection: close\r\n" + LENGTH + b"\r\n" + BODY, 200),
    "the last, and offers": (ASK + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n" + LENGTH + b"\r\n" + BODY, 200),
    "waits to be asked": (ASK + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n" + BODY, 200),
    "HEAD": (b"HEAD /live HTTP/1.1\r\nHost: x\r\n\r\n", 200),
}

#: What is no request, and the status that says so; the connection ends.
INVALID = {
    "no Host": (b"GET /live HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET /live HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "two Hosts in HTTP/1.0": (b"GET /live HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /live HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /live HTTP/0.9\r\nHost: x\r\n\r\n", 505),
    "no version": (b"GET /live\r\n\r\n", 505),
    "HTTP/1.2": (b"GET /live HTTP/1.2\r\nHost: x\r\n\r\n", 400),
    "HTTP/3.0": (b"GET /live HTTP/3.0\r\nHost: x\r\n\r\n", 400),
    "HTTP/1.10": (b"GET /live HTTP/1.10\r\nHost: x\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 400),
    "HTTP/2 preface with a Host": (b"PRI * HTTP/2.0\r\nHost: x\r\n\r\nSM\r\n\r\n", 400),
    "another protocol": (b"GET /live http/1.1\r\nHost: x\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50, 400),
    "no method": (b"/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a method in small letters": (b"get /live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a tunnel": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED, 501),
    "a folded header": (ASK + b"X-A: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY, 400),
    "a header folded at once": (b"GET /live HTTP/1.1\r\n X-A: b\r\nHost: x\r\n\r\n", 400),
    "LF alone": (b"GET /live HTTP/1.1\nHost: x\n\n", 400),
    "LF alone after a header": (b"GET /live HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n", 400),
    "LF alone after the headers": (b"GET /live HTTP/1.1\r\nHost: x\r\n\n", 400),
    "CR alone in a header": (b"GET /live HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n", 400),
    "CR twice": (b"GET /live HTTP/1.1\r\nHost: x\r\r\n\r\n", 400),
    "a space before the colon": (b"GET /live HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "a tab before the colon": (ASK + b"Content-Length\t: 0\r\n\r\n", 400),
    "a header without a name": (ASK + b": 5\r\n\r\n", 400),
    "a header without a colon": (ASK + b"Content-Length\r\n\r\n", 400),
    "NUL in a header": (ASK + b"X-A: \x00\r\n\r\n", 400),
    "NUL in a name": (ASK + b"X\x00A: b\r\n\r\n", 400),
    "DEL in a header": (ASK + b"X-A: \x7f\r\n\r\n", 400),
    "two lengths": (ASK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "one length twice": (ASK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "two lengths in a list": (ASK + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "a length with a sign": (ASK + b"Content-Length: +5\r\n\r\nhello", 400),
    "a negative length": (ASK + b"Content-Length: -5\r\n\r\nhello", 400),
    "a length in base 16": (ASK + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a length with an underscore": (ASK + b"Content-Length: 1_0\r\n\r\nhellohello", 400),
    "a length with a space": (ASK + b"Content-Length: 1 0\r\n\r\nhellohello", 400),
    "a length in other digits": (ASK + "Content-Length: \N{FULLWIDTH DIGIT FIVE}\r\n\r\nhello".encode(), 400),
    "an empty length": (ASK + b"Content-Length: \r\n\r\n", 400),
    "a length beyond 64 bits": (ASK + b"Content-Length: 18446744073709551621\r\n\r\nhello", 400),
    "length, then chunks": (ASK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
    "chunks, then length": (ASK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED, 400),
    "length, and an encoding hidden by a tab": (
        ASK + b"Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "length, and no encoding": (ASK + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello", 400),
    "gzip": (ASK + b"Transfer-Encoding: gzip\r\n\r\n" + SMUGGLED, 501),
    "gzip and chunks": (ASK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS, 501),
    "gzip, in a header of its own": (
        ASK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        501,
    ),
    "identity": (ASK + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED, 501),
    "nearly chunked": (ASK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunked in quotes": (ASK + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "chunked after a vertical tab": (ASK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and more": (ASK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (ASK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "an empty encoding": (ASK + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    "an offer, and gzip": (ASK + OFFER + b"Transfer-Encoding: gzip\r\n\r\n" + SMUGGLED, 501),
    "an offer, and length, then chunks": (
        ASK + OFFER + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "an offer without a Host": (b"GET /live HTTP/1.1\r\n" + OFFER + b"\r\n", 400),
}
#: Bodies that break off in the middle: whether the head's answer was sent before depends on the pieces.
BROKEN = {
    "a chunk of no size": b"xyz\r\n",
    "a chunk of a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk in base 16, said so": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than its size": b"5\r\nhello world\r\n0\r\n\r\n",
    "a chunk's size ended by LF": b"5\nhello\r\n0\r\n\r\n",
    "a chunk ended by LF": b"5\r\nhello\n0\r\n\r\n",
    "a chunk's size and a space": b"5 \r\nhello\r\n0\r\n\r\n",
    "an extension with LF": b"5;a\nhello\r\n0\r\n\r\n",
    "the last chunk ended by LF": b"5\r\nhello\r\n0\n\n",
    "a length after the chunks": b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "a folded trailer": b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
}

WHOLE = VALID["length"][0]
MARK = b"GET /mark HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    made = Wire(SERVED)
    yield made
    made.end()


def statuses(answers: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"(?:^|[}\n\]])HTTP/1\.1 (\d+) ", answers)]


def halves(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Both parts of each way to split bytes."""
    for place in range(1, len(content)):
        yield content[:place], content[place:]


def comes(answers: bytes) -> bytes:
    """Answers without the go-ahead to send a body, which depends on whether it has arrived already."""
    return answers.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")


def same(wire: Wire, content: bytes, pieces: list) -> None:
    """Answers do not depend on the pieces."""
    whole = wire.ask([content])
    for cut, (answers, stays) in zip(pieces, wire.ask_all(pieces), strict=True):
        assert (comes(answers), stays) == (comes(whole[0]), whole[1]), cut


@pytest.mark.parametrize("part", range(6))
def test_every_request_of_the_tests_is_answered_alike_however_it_is_split(wire: Wire, part: int) -> None:
    for content in REQUESTS[part::6]:
        same(wire, content, [*halves(content), [content[place : place + 1] for place in range(len(content))]])


def test_every_request_of_the_tests_is_answered_alike_in_several_pieces(wire: Wire) -> None:
    chance = random.Random(0)
    for content in REQUESTS:
        cuts = [sorted(chance.sample(range(len(content)), 3)) for _ in range(5)]
        same(
            wire,
            content,
            [[content[a:b] for a, b in zip([0, *cut], [*cut, len(content)], strict=True)] for cut in cuts],
        )


def ends(content: bytes) -> bool:
    """Whether bytes are whole requests, or none at all, to another parser."""
    while content:
        peer = h11.Connection(h11.SERVER)
        peer.receive_data(content)
        try:
            while not isinstance(event := peer.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    return False
        except h11.RemoteProtocolError:
            return True
        content = peer.trailing_data[0]
    return True


@pytest.mark.parametrize("part", range(6))
def test_every_request_is_answered_alike_behind_every_other(wire: Wire, part: int) -> None:
    """One of each line and set of headers behind one of each, in one piece: in order, and as it is answered alone."""
    shapes: dict[tuple, bytes] = {}
    for content in REQUESTS:
        line, *headers = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
        kind = re.sub(rb"[^/ ]{3,}|\d+", b"x", line)
        shapes.setdefault((kind, *sorted(one.partition(b":")[0].lower() for one in headers)), content)
    several = [*shapes.values(), *(content for content, _ in (*VALID.values(), *INVALID.values()))]
    alone = dict(zip(several, wire.ask_all([one] for one in several), strict=True))
    assert len(several) > 150
    for first in filter(ends, several[part::6]):
        for second, (answers, stays) in zip(several, wire.ask_all([first + one] for one in several), strict=True):
            told, kept = alone[first]
            expected = (told + alone[second][0], alone[second][1]) if kept else (told, False)
            assert (comes(answers), stays) == (comes(expected[0]), expected[1]), (first, second)


@pytest.mark.parametrize("name", VALID)
def test_what_is_valid_is_answered_and_ends_where_it_ends(wire: Wire, name: str) -> None:
    content, status = VALID[name]
    told, stays = wire.ask([content])
    assert statuses(comes(told)) == [status]
    same(wire, content, [*halves(content), [content[place : place + 1] for place in range(len(content))]])
    if stays:
        for pieces in ([content + MARK], [content, MARK], *halves(content + MARK)):
            found, _ = wire.ask(pieces)
            assert statuses(comes(found)) == [status, 404], pieces
    else:
        # What comes after the last request is not answered.
        assert wire.ask([content + MARK]) == (told, False)


@pytest.mark.parametrize("name", INVALID)
def test_what_is_no_request_ends_the_connection(wire: Wire, name: str) -> None:
    content, status = INVALID[name]
    for pieces in ([content], *halves(content), [content[place : place + 1] for place in range(len(content))]):
        answers, stays = wire.ask(pieces)
        assert (statuses(answers), stays) == ([status], False), pieces
        assert b"\r\nconnection: close\r\n" in answers
        assert set(json.loads(answers.partition(b"\r\n\r\n")[2])) == {"error_code", "message"}
    # What was asked before is answered before, and nothing after.
    for pieces in ([WHOLE + content + MARK], *halves(WHOLE + content)):
        assert statuses(wire.ask(pieces)[0]) == [200, status], pieces


@pytest.mark.parametrize("name", BROKEN)
def test_a_body_that_breaks_off_is_no_request(wire: Wire, name: str) -> None:
    """It is answered once, and no byte of it becomes another request."""
    for head in (ASK, ASK + OFFER):
        content = head + b"Transfer-Encoding: chunked\r\n\r\n" + BROKEN[name]
        for pieces in ([content + MARK], *halves(content + MARK)):
            assert (statuses(wire.ask(pieces)[0]), wire.ask(pieces)[1]) == ([400], False), pieces


def test_a_long_line_of_requests_is_answered_in_order(wire: Wire) -> None:
    """More than fits into one piece, quick ones and slow ones, some with an offer of another protocol."""
    rows = [ASK + (OFFER if number % 3 == 0 else b"") for number in range(600)]
    bodies = [
        b'{"instances": %s}' % json.dumps([[number, 0]] * (1 if number % 50 else 40)).encode() for number in range(600)
    ]
    content = b"".join(
        head + b"Content-Length: %d\r\n\r\n" % len(body) + body for head, body in zip(rows, bodies, strict=True)
    )
    answers, stays = wire.ask([content])
    found = [json.loads(one)["predictions"][0] for one in re.findall(rb'\{"predictions":[^}]*\}', answers)]
    assert stays
    assert [round(one) for one in found] == [2 * number for number in range(600)]
