"""The quick half of a package: what a usual first request runs, and no more.

Lambda lays a package down where nothing can be written, so Python compiles its sources at every cold start, and that
is most of what a first answer from a few kilobytes costs. Bytecode would tie a package to one release of Python, and
is larger than all the rest. So the package is run, when it is built, on usual requests; whatever block of its sources
they never came to is replaced by a raise, and what nothing names any more is dropped. A request that comes to such a
raise is answered by the whole package, which lies beside it: the quick half only reads, so nothing was done by then.
"""

import bisect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from serving.errors import ServingError
from serving.scorecard import Scorecard
from serving.scorecard.inputs import BOOLEAN, CATEGORY

from .lean import lean
from .unused import without_unused

#: What the package is called while it is tried; its patience in seconds.
_TRIED, _PATIENCE = "tried", 60

# Runs in a process of its own, on sources as they are: says which lines of which file ran, and what was answered.
_TRACE = """
import json, sys
folder, package, module = sys.argv[1:4]
sys.path.insert(0, folder)
events = json.load(sys.stdin)
lines, lambdas, done = {}, {}, []
base = folder + "/" + package + "/"
def local(frame, what, found):
    if what == "line":
        lines.setdefault(frame.f_code.co_filename[len(base):], set()).add(frame.f_lineno)
    elif what == "return" and frame.f_code.co_name == "<module>":
        done.append(frame.f_code.co_filename[len(base):])
    return local
def trace(frame, what, found):
    if what == "call" and frame.f_code.co_filename.startswith(base):
        if frame.f_code.co_name == "<lambda>":
            lambdas.setdefault(frame.f_code.co_filename[len(base):], set()).add(frame.f_code.co_firstlineno)
        return local(frame, "line", None)
class Context:
    aws_request_id = "0"
told, sys.stdout = sys.stdout, sys.stderr
sys.settrace(trace)
loaded = __import__(package + "." + module, fromlist=["load"]).load(folder)
answers = [loaded(event, Context) for event in events]
sys.settrace(None)
lines, lambdas = ({name: sorted(found) for name, found in one.items()} for one in (lines, lambdas))
json.dump({"lines": lines, "lambdas": lambdas, "done": done, "answers": answers}, told)
"""


def half(
    sources: Mapping[str, str], beside: Mapping[str, bytes], *, module: str, events: Sequence[object]
) -> tuple[dict[str, str], list]:
    """The modules of the quick half, in the order in which they run, and what the sources answered to usual requests.

    Parameters
    ----------
    sources : the package's modules as they are, by path below it.
    beside : files that lie beside the package, by path.
    module : the one that has ``load(folder)``, which gives the handler: dotted, below the package.
    events : the usual requests, as JSON values.

    Raises
    ------
    ServingError
        where the package does not run.
    """
    # The real path: the files are told by it.
    with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
        place = Path(folder).resolve()
        for path, text in sources.items():
            file = place / _TRIED / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        for path, content in beside.items():
            (place / path).write_bytes(content)
        found = run(_TRACE, [str(place), _TRIED, module], events)
    texts = {}
    for path in found["done"]:
        ran = _Ran(found["lines"].get(path, []), found["lambdas"].get(path, []))
        texts[path] = lean(sources[path], unwanted=ran.not_lines, uncalled=ran.not_lambda)
    return without_unused(texts, keep=("load",)), found["answers"]


def run(script: str, arguments: Sequence[str], events: object):
    """What a script, which needs the standard library alone, says as JSON in a Python process that nothing else is in.

    Raises
    ------
    ServingError
        where it fails.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", script, *arguments],
            input=json.dumps(events),
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise ServingError(f"the package does not answer: it was tried for {_PATIENCE} s") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ServingError(f"the package does not answer: it was tried, and failed: {said}")
    return json.loads(done.stdout)


class _Ran:
    """What ran of a module: its lines in order, and the lines of its lambdas."""

    def __init__(self, lines: Sequence[int], lambdas: Sequence[int]):
        self._lines, self._lambdas = lines, frozenset(lambdas)

    def not_lines(self, first: int, last: int) -> bool:
        place = bisect.bisect_left(self._lines, first)
        return place == len(self._lines) or self._lines[place] > last

    def not_lambda(self, line: int) -> bool:
        return line not in self._lambdas


def rows(card: Scorecard) -> list[dict]:
    """Rows that a scorecard takes, as requests hold them: numbers with a fraction, whole numbers, missing values."""
    known = _known(card)
    fractions: dict = {}
    whole: dict = {}
    for item in card.inputs:
        if item.type == CATEGORY:
            fractions[item.name] = whole[item.name] = known.get(item.name, "a")
        elif item.type == BOOLEAN:
            fractions[item.name], whole[item.name] = True, False
        else:
            fractions[item.name], whole[item.name] = (1.0 if item.integer else 1.5), 1
    missing = {item.name: None if item.null else whole[item.name] for item in card.inputs}
    return [fractions, whole, missing]


def _known(card: Scorecard) -> dict[str, str]:
    """A category that the model knows, of each input that has some."""
    found: dict[str, str] = {}
    for column in card.document["columns"]:
        if "one_hot" in column and "input" in column:
            words = [word for group in column["one_hot"] for word in group["of"] if isinstance(word, str)]
            found |= {column["input"]: words[0]} if words else {}
    return found
