"""What Spark says when it fails, as one line that holds none of the table's data."""

import contextlib
import re
from collections.abc import Iterator

from serving.errors import ServingError

#: What to say of some of Spark's error conditions.
_CONDITIONS = {
    "PATH_NOT_FOUND": "there is no such file or folder",
    "TABLE_OR_VIEW_NOT_FOUND": "there is no such table",
    "SCHEMA_NOT_FOUND": "there is no such schema",
    "PATH_ALREADY_EXISTS": "the output is there already; give --overwrite, or another --output",
    "TABLE_OR_VIEW_ALREADY_EXISTS": "the output is there already; give --overwrite, or another --output",
    "MALFORMED_RECORD_IN_PARSING": "a line cannot be read: it is damaged, or has more or fewer cells than the header",
    "MALFORMED_CSV_RECORD": "a line cannot be read: it has more or fewer cells than the header",
    "MALFORMED_JSON": "a line is no JSON object",
    "UNABLE_TO_INFER_SCHEMA": "Spark finds no columns in it",
    "FAILED_READ_FILE": "Spark cannot read a file of it, which is damaged or gone",
    "CANNOT_READ_FILE_FOOTER": "Spark cannot read a file of it, which is damaged or no Parquet",
}
_QUOTED = "a line cannot be read: text follows a closing quotation mark; correct the line"
_HEADERS = "the files have different headers; take them one by one, or give them one header"
#: What the text of a failure holds, and what to say of it.
_TEXTS = (
    (r"No space left on device|Disk quota exceeded", "no space left to write the answers; free some"),
    (r"OutOfMemoryError|Container killed.*memory", "Spark ran out of memory; give it more: --spark-conf "
     "spark.driver.memory=4g, or spark.executor.memory on a cluster"),
    (r"Unescaped quote character", _QUOTED),
    (r"Unexpected end of (ZLIB )?input stream|ZipException|Not in GZIP format", _CONDITIONS["FAILED_READ_FILE"]),
    (r"MALFORMED_\w+", _CONDITIONS["MALFORMED_RECORD_IN_PARSING"]),
    (r"CSV header (column )?(does not|names)|number of column in CSV/text header|Number of column in CSV header",
     _HEADERS),
    (r"CANNOT_READ_FILE_FOOTER|FAILED_READ_FILE|is not a Parquet file|Could not read footer",
     _CONDITIONS["CANNOT_READ_FILE_FOOTER"]),
    (r"maxResultSize", "its sums are larger than the driver takes; --spark-conf spark.driver.maxResultSize=4g"),
    (r"PYTHON_VERSION_MISMATCH", "the workers have another version of Python; set PYSPARK_PYTHON to one like this "
     "machine's"),
    (r"ExecutorLostFailure|executor .* exited|Master removed our application|SparkContext (was|has been) shut ?down|"
     r"stopped SparkContext", "the cluster lost the job or what ran it; run the command again"),
    (r"DATA_SOURCE_NOT_FOUND|Failed to find data source|ClassNotFoundException: \w*\.?(delta|iceberg)",
     "this Spark has no reader of that form; add it by --spark-conf spark.jars.packages=..."),
    (r"No FileSystem for scheme", "this Spark has no file system for that address; add it by --spark-conf "
     "spark.jars.packages=..., or set it up on the cluster"),
    (r"[Pp]ermission denied|AccessDenied|Access Denied", "access is denied"),
    (r"UnknownHostException|ConnectException|NoRouteToHost", "a host does not answer"),
)  # fmt: skip
#: What is wrong with an input, whatever is being written.
_UNREADABLE = {_QUOTED, _HEADERS} | {
    words for name, words in _CONDITIONS.items() if re.match("MALFORMED|UNABLE|FAILED_READ|CANNOT_READ", name)
}
#: What a message of ours begins with that Spark raises.
UNFIT = "cannot be scored:"
_GONE = "Spark has ended (it was killed, or the cluster is gone); run the command again"


@contextlib.contextmanager
def speaking(what: str, *, writes: bool = False) -> Iterator[None]:
    """Errors of Spark as one line about something.

    Parameters
    ----------
    what : that the block is about, the input say.
    writes : whether that is an output: what is wrong with the input is raised as it is, for the block around this one.

    Raises
    ------
    ServingError
    """
    try:
        yield
    except ServingError:
        raise
    except Exception as error:
        words = told(error)
        if words is None or (writes and words in _UNREADABLE):
            raise
        raise ServingError(f"{what}: {words}") from None


def told(error: Exception) -> str | None:
    """What an error of Spark says, without the values that Spark quotes; None if it is none of Spark's."""
    module = type(error).__module__.partition(".")[0]
    if module not in ("pyspark", "py4j", "grpc") and not isinstance(error, (ConnectionError, EOFError)):
        return None
    condition = _condition(error)
    if known := _CONDITIONS.get(condition.partition(".")[0]):
        return known
    text = str(error)
    if ours := re.search(rf"{UNFIT} (the column .{{1,200}} has a value that is no \w+)", text):
        return ours[1]
    if package := re.search(r"ModuleNotFoundError: No module named '(\w+)", text):
        return f"the workers lack the Python package {package[1]!r}; install 'model-lifecycle[spark]' there"
    for pattern, words in _TEXTS:
        if re.search(pattern, text):
            return words
    if module == "grpc" or re.search("UNAVAILABLE|RETRIES_EXCEEDED", f"{condition} {text}"):
        return "the Spark Connect server does not answer any more; run the command again"
    if isinstance(error, (ConnectionError, EOFError)) or type(error).__name__ in ("Py4JNetworkError", "Py4JError"):
        return _GONE
    if condition == "PYTHON_EXCEPTION":
        return f"Spark failed ({_cause(text)} in Python)"
    # What is found out before a row is read quotes names and types alone.
    analysed = {"AnalysisException", "ParseException"} & {one.__name__ for one in type(error).__mro__}
    return _first(text) if analysed else f"Spark failed ({condition or _cause(text) or type(error).__name__})"


def _condition(error: Exception) -> str:
    find = getattr(error, "getCondition", None)
    with contextlib.suppress(Exception):  # it asks Java, which may be gone
        return (find() or "") if find else ""
    return ""


def _first(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no reason is given"
    return re.sub(r"\s*SQLSTATE: \w+", "", line)[:300]


def _cause(text: str) -> str:
    """The class of the exception that a trace of Java begins with last."""
    found = re.findall(r"(?:Caused by: |^|: )([\w.$]+(?:Exception|Error))\b", text, re.MULTILINE)
    return found[-1].rpartition(".")[2] if found else ""
