"""Where the answers and rejects of each file go, and what must not be written over."""

from pathlib import PurePath

from serving.batch import outputs, rejects, sources
from serving.batch.database_input import DatabaseInput
from serving.batch.manifest import Manifest
from serving.batch.outputs import LocalOutput, Output
from serving.batch.request import FAIL, ScoreRequest
from serving.batch.sources import PATTERN, InputFile, SourceFiles, matches
from serving.databases import is_url
from serving.errors import ServingError


def find(source: SourceFiles, request: ScoreRequest) -> list[Output]:
    """The output of each file.

    Raises
    ------
    ServingError
        if nothing can be written there, or what is there is not to be replaced.
    """
    given = request.output
    if is_url(given):
        return [_table(source, request)]
    if request.output_table or request.append:
        raise ServingError(f"--output-table and --append go with a database, found --output {given}; leave them out")
    if source.single:
        if PurePath(given).suffix.lower() not in outputs.ENDINGS:
            raise ServingError(f"--output {given}: expected a name that ends with {' or '.join(outputs.ENDINGS)}")
        target = outputs.output(given)
        if not request.overwrite and target.guard():
            raise ServingError(f"{given} is there already; give --overwrite, or another --output")
        target.check()
        return [target]
    if outputs.is_file(given):
        raise ServingError(f"--output {given}: expected a folder for the answers to several files, found a file")
    relative = [answers_of(file) for file in source.files]
    _check_apart(request, relative)
    if twice := [path for path in relative if relative.count(path) > 1]:
        raise ServingError(
            f"--input: the answers to two files would both be {outputs.below(given, twice[0])}; score them one by one"
        )
    return [outputs.output(outputs.below(given, path)) for path in relative]


def _check_apart(request: ScoreRequest, relative: list[PurePath]) -> None:
    """Refuse answers that would be input the next time, or that the input is among.

    Parameters
    ----------
    relative : the paths of the answers below their folder.
    """
    given = request.input
    is_pattern = bool(PATTERN.intersection(given)) and not outputs.is_folder(given)
    here = outputs.place(given)
    for option, folder in (("--output", request.output), ("--rejects", request.rejects)):
        if not folder or folder == FAIL:
            continue
        there = outputs.place(folder)
        if is_pattern:
            pattern = PurePath(here).parts
            if any(matches((*PurePath(there).parts, *path.parts), pattern) for path in relative):
                raise ServingError(f"{option} {folder}: what is written there is input of {given}; name another folder")
        elif f"{there}/".startswith(f"{here}/"):
            raise ServingError(f"{option} {folder} is the input {given}, or within it; name another folder")
        elif f"{here}/".startswith(f"{there}/"):
            raise ServingError(f"{option} {folder}: the input {given} is within it; name another folder")


def _table(source: SourceFiles, request: ScoreRequest) -> Output:
    from serving.batch import table_output

    if not source.single:
        raise ServingError("--output: a table takes the answers to one file or one query; name one as --input")
    if request.append and request.overwrite:
        raise ServingError("--append adds to a table and --overwrite replaces it; leave one out")
    table = table_output.find(
        request.output,
        request.output_table,
        append=request.append,
        overwrite=request.overwrite,
        with_rejects=request.rejects is None,
    )
    (file,) = source.files
    if request.overwrite and isinstance(file, DatabaseInput) and file.may_read(table.name.table):
        raise ServingError(f"--query may read {table.address}, which --overwrite would replace; name another table")
    if table.size() is not None and not request.overwrite:
        raise ServingError(f"{table.address} is there already; give --append, --overwrite, or another --output-table")
    table.check()
    return table


def check(
    source: SourceFiles, targets: list[Output], rejected: Output | None, request: ScoreRequest, manifest: Manifest
) -> None:
    """Refuse to write over anything that is not to be replaced, before anything is read; raises ServingError.

    Parameters
    ----------
    rejected : where the rejected rows of a single file go.
    """
    inputs = {file.key for file in source.files}
    for target in filter(None, [*targets, rejected]):
        if target.key in inputs:
            raise ServingError(f"{target.address} is the input itself; name another --output or --rejects")
    if rejected:
        if rejected.key == targets[0].key:
            raise ServingError("--rejects and --output name one file; name two")
        check_rejects(rejected, request)
    for file, target in zip(source.files, targets, strict=True):
        if source.single or request.overwrite or not target.guard() or manifest.wrote(file, target):
            continue
        raise ServingError(
            f"{target.address} is there already, and was not written by this command; give --overwrite, or another "
            "--output"
        )


def check_rejects(place: Output, request: ScoreRequest) -> None:
    """Refuse a place for rejects that cannot be written to, or has something that is not to be replaced.

    Raises
    ------
    ServingError
    """
    if request.rejects:
        if not place.csv:
            raise ServingError(f"--rejects {place.address}: expected a name that ends with .csv, or fail")
        place.check("--rejects")
    if request.overwrite or not place.guard():
        return
    if request.rejects:
        raise ServingError(f"{place.address} is there already; give --overwrite, or another --rejects")
    if isinstance(place, LocalOutput) and not rejects.is_ours(place.path):
        raise ServingError(f"{place.address} is there already; give --overwrite, or name another by --rejects")


def answers_of(file: InputFile) -> PurePath:
    """The path of a file's answers below the folder of all answers."""
    ending = outputs.CSV if file.form == sources.CSV else outputs.PARQUET
    return file.relative.with_name(sources.stem(file.relative.name) + ending)


def rejects_of(target: Output, file: InputFile, request: ScoreRequest, *, single: bool) -> Output | None:
    """Where the rejected rows of a file go; None if they stop the job.

    Parameters
    ----------
    target : the output of the file.
    single : whether it is the only file.
    """
    if request.rejects == FAIL:
        return None
    if single:
        return outputs.output(request.rejects) if request.rejects else target.rejects()
    # Below a name with an underscore, which readers of whole folders pass over.
    folder = request.rejects or outputs.below(request.output, PurePath("_rejects"))
    return outputs.output(outputs.below(folder, answers_of(file).with_suffix(outputs.CSV)))
