"""Secrets in text: where URLs, connection strings, headers and commands hold one, ``***`` takes its place.

All that is stored or printed goes through here: tags and parameters of runs, the source of a table, evidence, the
ledger, the terminal, the logs of servers, and errors, those of libraries among them.

A secret is known by its place. A URL is taken apart as its user reads it: an address of the web as ``urllib`` does, a
database's as SQLAlchemy does (a password ends at an ``@``, whatever stands before it; the tests hold this to
``make_url``). What they give back is not put together again: a URL that they refuse, or one in the middle of a text,
has to be shown, too, and what is no secret stays as it was written. Where a URL can be read in two ways, because a
password holds a bare ``@`` or ``/``, more is hidden rather than less. What else a library may say of a secret (a
password decoded, a part of one) is found by its value: see :func:`secrets` and :func:`explained`.
"""

import logging
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote, unquote_plus

from registry import secret_patterns as patterns

#: What stands where a secret was.
HIDDEN = "***"

#: Collects the secrets that are hidden; None where nobody asks for them.
_Found = list[str] | None

# A text is redacted until nothing changes any more, so that doing it twice is doing it once.
_PASSES = 10
# Values in values (a connection string in a query, a URL in another) are looked into this deep.
_DEEPEST = 4
# Secrets that are found by their value: shorter ones only as a whole word, the shortest not at all.
_WORD, _ANYWHERE = 5, 8


def redacted(text: str) -> str:
    """A text without the secrets in it; hosts, databases, paths and users stay. It may be redacted again and again."""
    return _settled(text, None)


def url(text: str) -> str:
    """A text that is one URL, as a user gave it: it may hold blanks and quotation marks."""
    return redacted(_word(text, None))


def words(given: Iterable[str]) -> list[str]:
    """The words of a command without their secrets: ``--password X``, ``KEY=value``, headers, URLs."""
    return _words(given, None)


def inside(value: Any) -> Any:
    """A JSON value whose texts are redacted; keys stay as they are."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: inside(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [inside(one) for one in value]
    return value


def secrets(given: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """The secrets that a command's words and its environment hold: as they are written there, decoded, and in parts."""
    found: list[str] = []
    _words(given, found)
    for name, value in (environment or {}).items():
        if _is_secret(name, in_query=True) and name not in ("PWD", "OLDPWD"):
            found.append(value)
        if "://" in value or "=" in value:  # anything else is read in too many ways: a list of paths with colons, say
            _word(value, found)
    known = {decoded for text in found for decoded in (text, unquote(text), unquote_plus(text))}
    # A password with a bare @ is cut there by whoever reads the URL, and shown in parts.
    known |= {part for text in known for part in (text.partition("@")[2], *re.split(r"[@:/?#;\s]+", text))}
    told = (text for text in known if len(text) >= _WORD and any(sign.isalnum() for sign in text))
    return frozenset(text for text in told if not re.fullmatch(patterns.AUTH_SCHEMES, text, re.IGNORECASE))


def hidden(text: str, known: Iterable[str]) -> str:
    """A text without secrets of which the values are known; those of under 8 characters as whole words only."""
    alternatives = [
        re.escape(one) if len(one) >= _ANYWHERE else rf"(?<!\w){re.escape(one)}(?!\w)"
        for one in sorted(known, key=lambda one: (-len(one), one))
    ]
    return re.sub("|".join(alternatives), HIDDEN, text) if alternatives else text


def explained(text: str, *given: str) -> str:
    """What an error says, without secrets: also those that this process was given, however a library spells them.

    Parameters
    ----------
    given : more texts whose secrets are known, the URL that failed say.
    """
    return hidden(redacted(text), secrets([*given, *sys.argv[1:]], os.environ))


class LogFilter(logging.Filter):
    """Redacts what a library logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without its secrets."""
        try:
            message = record.getMessage()
        except Exception:  # whatever a library's arguments raise: the handler tells it
            return True
        if (shown := explained(message)) != message:
            record.msg, record.args = shown, None
        return True


def split(command: str) -> list[str]:
    """The words of a shell command; of one that a shell would refuse, what stands between blanks."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _settled(text: str, found: _Found, depth: int = 0) -> str:
    for _ in range(_PASSES):
        again = _pass(text, found, depth)
        if again == text:
            break
        text = again
    return text


def _pass(text: str, found: _Found, depth: int) -> str:
    def pair(match: re.Match, *, in_query: bool = False) -> str:
        value = match["value"]
        if not _is_secret(match["key"], in_query=in_query):
            # It may be a pair itself, or a connection string, percent-encoded.
            inner = unquote_plus(value) if "%" in value and "://" not in value else value
            if "=" not in inner or depth >= _DEEPEST or (shown := _settled(inner, found, depth + 1)) == inner:
                return match[0]
        else:
            shown = _starred(value, found)
        return match[0][: match.start("value") - match.start()] + shown + match[0][match.end("value") - match.start() :]

    def header(match: re.Match) -> str:
        key, whole = match["key"], bool(match["open"])
        # A word with a colon is no header unless it is called as one.
        if not _is_secret(key) or ("-" not in key and key.lower() not in ("authorization", "cookie")):
            return match[0]
        value, more = match["value"] + (match["more"] if whole else ""), "" if whole else match["more"]
        return match["open"] + key + match["mark"] + _starred(value, found) + more

    def value(match: re.Match) -> str:
        return match["mark"] + _starred(match["value"], found)

    def address(match: re.Match) -> str:
        return f"{match['scheme']}://{_address(match['scheme'], match['rest'], found, depth)}"

    def token(match: re.Match) -> str:
        return _starred(match[0], found)

    if ";" in text:
        text = patterns.LISTED.sub(pair, text)
    text = patterns.URL.sub(address, text)
    if ":" in text:
        text = patterns.BEARER.sub(token, patterns.HEADER.sub(header, text))
        text = patterns.ESCAPED.sub(pair, patterns.JSON.sub(pair, text))
        text = patterns.NO_SCHEME.sub(value, patterns.LOGIN.sub(value, text))
    text = patterns.NAMED.sub(value, text)
    if "-" in text:
        text = patterns.OPTION.sub(lambda match: pair(match) if _is_secret(match["key"]) else match[0], text)
    if "=" in text:
        text = patterns.PAIR.sub(pair, text)
    return patterns.TOKEN.sub(token, text)


def _starred(value: str, found: _Found) -> str:
    """``***``; what is hidden already stays as it is, with what follows it."""
    bare = value.strip("'\"")
    if bare.startswith(HIDDEN) and not bare[len(HIDDEN) :][:1].isalnum():
        return value
    if found is not None and bare:
        found.append(bare)
    quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
    return f"{value[0]}{HIDDEN}{value[0]}" if quoted else HIDDEN


def _is_secret(key: str, *, in_query: bool = False) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    if patterns.ABOUT.search(plain):
        return False
    pattern = patterns.SECRET_IN_QUERY if in_query else patterns.SECRET
    return bool(pattern.search(plain)) or bool(patterns.PASS.search(key))


def _words(given: Iterable[str], found: _Found) -> list[str]:
    result: list[str] = []
    before = ""
    names: set[str] = set()
    for word in given:
        # --password X; aws configure set aws_secret_access_key X
        named = _is_option(before) or ("_" in before and before.isidentifier() and _is_secret(before))
        if (named or (before == "-p" and names & patterns.PASSWORD_NEXT)) and not word.startswith("-"):
            shown = _starred(word, found)
        elif before in patterns.HEADER_OPTIONS:
            shown = _header_word(word, found)
        elif before in patterns.LOGIN_OPTIONS and ":" in word:
            user, _, password = word.partition(":")
            shown = f"{user}:{_starred(password, found)}"
        elif names & patterns.PASSWORD_AT_ONCE and re.match(r"-p.", word):
            shown = f"-p{_starred(word[2:], found)}"
        else:
            shown = _word(word, found)
        result.append(shown)
        names.add(os.path.basename(word))
        before = word
    return result


def _is_option(word: str) -> bool:
    return word.startswith("-") and "=" not in word and (_is_secret(word) or word.lower() in ("--pass", "--auth"))


def _header_word(word: str, found: _Found) -> str:
    name, colon, value = word.partition(":")
    if colon and _is_secret(name, in_query=True):
        blank = " " * (len(value) - len(value.lstrip()))
        for part in value.split():
            if found is not None:
                found.append(part)
        return f"{name}:{blank}{_starred(value.strip(), found)}"
    return _settled(word, found)


def _word(word: str, found: _Found, depth: int = 0) -> str:
    """A word of a command: a URL, ``KEY=value``, ``--option=value`` or plain text, with all that is in it."""
    if match := patterns.WHOLE_URL.fullmatch(word):
        lead = word[: match.start("scheme")]
        word = f"{lead}{match['scheme']}://{_address(match['scheme'], match['rest'], found, depth, blanks=True)}"
    elif match := re.fullmatch(r"(-{0,2}[\w.-]+)=(.*)", word, re.DOTALL):
        name, value = match.groups()
        if _is_secret(name) or (name.startswith("--") and _is_option(name)):
            # libpq's: another key may follow.
            more = re.search(r"\s+\w+\s*=", value)
            end = more.start() if more else len(value)
            word = f"{name}={_starred(value[:end], found)}{value[end:]}"
        elif depth < _DEEPEST:
            word = f"{name}={_word(value, found, depth + 1)}"
    return _settled(word, found, depth)


def _address(scheme: str, rest: str, found: _Found, depth: int, *, blanks: bool = False) -> str:
    """What follows ``scheme://``."""
    web = scheme.lower() in patterns.WEB
    end = _end_of_user(rest, web=web)
    user = ""
    if end is not None:
        user, rest = _user(scheme, rest[:end], rest[end + 1 :], found, web=web) + "@", rest[end + 1 :]
    cut = re.search(r"[?#]", rest)
    place, query = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    host, slash, path = place.partition("/")
    if user and (port := patterns.PORT.fullmatch(host)) and not patterns.PORTS.fullmatch(port[2]):
        # ann@host:secret, a password where a port should be.
        host = f"{port[1]}:{_starred(port[2], found)}"
    if slash and web:
        path = _path(host, f"/{path}", found)[1:]
    return user + host + slash + path + _query(query, found, depth, web=web, blanks=blanks)


def _end_of_user(rest: str, *, web: bool) -> int | None:
    """Where the ``@`` stands that ends user and password; None where there is none."""
    if web:
        place = re.match(r"[^/?#]*", rest)
        network = place[0] if place else ""
        end = network.rfind("@")
        later = rest.rfind("@")
        if end < 0:
            # user:pa/ss@host: what looks like a host's port is no number.
            port = network.rpartition("]")[2].partition(":")[2]
            return later if later >= 0 and port and not port.isdecimal() else None
        if later > end and ":" in network[:end] and not patterns.HOST.fullmatch(network[end + 1 :]):
            return rest.rfind("@", 0, (rest.find("?", end) if "?" in rest[end:] else len(rest)))
        return end
    begins = re.match(r"[^:/]*(:[^@]*)?@", rest)
    if not begins:
        return None
    end = begins.end() - 1
    while not patterns.AFTER_USER.fullmatch(rest, end + 1) and (later := rest.find("@", end + 1)) >= 0:
        end = later
    return end


def _user(scheme: str, given: str, after: str, found: _Found, *, web: bool) -> str:
    """User and password as they are shown."""
    user, colon, password = given.partition(":")
    tokenlike = bool(patterns.TOKEN.search(user)) or bool(colon and user and user == password)
    if not colon:
        named = user in ("git", "", HIDDEN) or (not tokenlike and bool(patterns.NAMED_USERS.fullmatch(scheme)))
        return user if named else _starred(user, found)
    if web and password.lower() in patterns.NO_PASSWORDS:
        return _starred(user, found) if user else ":"
    if found is not None and password in (user, *re.split(r"[^\w.-]+", after)):
        # As a word it stands for something else, too, that nobody has to hide.
        return f"{user}:{HIDDEN}"
    return f"{_starred(user, found) if tokenlike else user}:{_starred(password, found) if password else ''}"


def _path(host: str, path: str, found: _Found) -> str:
    if match := patterns.HOOK.search(path):
        return path[: match.start(2)] + _starred(match[2], found)
    if patterns.HOOK_HOST.match(host) and len(path) > 1:
        return "/" + _starred(path[1:], found)
    return patterns.BOT.sub(lambda match: _starred(match[0], found), path)


def _query(text: str, found: _Found, depth: int, *, web: bool, blanks: bool) -> str:
    ends = "&" + ("#" if web else "") + ("" if blanks else r"\s")
    quotes = "" if blanks else "'\"<>"
    value = rf"(?:[^{ends}{quotes}]" + (r"|['\"<>](?=\w))*" if quotes else ")*")

    def parameter(match: re.Match) -> str:
        name, value = unquote(match["key"]), match["value"]
        if _is_secret(name, in_query=True):
            shown = _starred(value, found)
        else:
            inner = unquote_plus(value) if "%" in value or "+" in value else value
            if depth >= _DEEPEST or (redone := _word(inner, found, depth + 1)) == inner:
                return match[0]
            shown = redone if inner == value else quote_plus(redone, safe="*;={}[]/:@", errors="replace")
        return f"{match['mark']}{match['key']}={shown}"

    return re.sub(rf"(?P<mark>[?&#;])(?P<key>[^=&#;?\s]+)=(?P<value>{value})", parameter, text)
