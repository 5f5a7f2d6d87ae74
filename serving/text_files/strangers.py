"""Files that are no table of text: what each is, told by its first bytes, and what to do about it."""

from serving.text_files.errors import TextFileError

# What a file that is no table begins with, and what to do about it.
_STRANGERS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"SQLite format 3\0": "an SQLite database; give it as sqlite:///PATH with --query",
    b"BZh": "compressed by bzip2; unpack it, or compress it by gzip",
    b"\xfd7zXZ": "compressed by xz; unpack it, or compress it by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it, or compress it by gzip",
    b"ARROW1": "an Arrow or Feather file; convert it, for example with pandas.read_feather",
    b"\x89HDF": "an HDF5 file; export the table as Parquet or CSV",
    b"\x93NUMPY": "a NumPy array; save it with names as CSV or Parquet",
    b"\x80\x04\x95": "a Python pickle, which may run code; save the table as Parquet or CSV",
    b"\x80\x05\x95": "a Python pickle, which may run code; save the table as Parquet or CSV",
    b"RDX": "an R workspace; write the table with write.csv",
    b"X\n\0\0": "an R object; write the table with write.csv",
    b"<stata_dta>": "a Stata file; export it as CSV",
    b"$FL2": "an SPSS file; export it as CSV",
    b"%PDF": "a PDF document; give the table in it as CSV",
}
# The same of text, whatever blanks, and in whatever case.
_STRANGE_TEXT = {
    b"<!doctype": "a web page; download the table itself",
    b"<html": "a web page; download the table itself",
    b"<?xml": "an XML document; convert it to CSV",
    b"@relation": "an ARFF file of Weka; convert it to CSV, for example with scipy.io.arff.loadarff",
}
# Programs and pictures have more NUL bytes than this share, text has none but by mistake.
_FEW_NULS = 0.001


def refuse_strangers(start: bytes, source: str) -> None:
    """Raise TextFileError if the first bytes of a file are those of another format."""
    for magic, what in _STRANGERS.items():
        if start.startswith(magic):
            raise TextFileError(f"{source} is {what}")


def refuse_strange_text(start: bytes, source: str) -> None:
    """Raise TextFileError if the beginning of a text is that of another format."""
    beginning = start.lstrip()[:100].lower()
    for text, what in _STRANGE_TEXT.items():
        if beginning.startswith(text):
            raise TextFileError(f"{source} is {what}")


def refuse_binary(start: bytes, source: str) -> None:
    """Raise TextFileError if the beginning of a file has zero bytes."""
    if 0 < (count := start.count(b"\0")) < _FEW_NULS * len(start):
        line = start[: start.index(b"\0")].count(b"\n") + 1
        raise TextFileError(
            f"{source} holds a NUL byte in line {line}{', and others' if count > 1 else ''}; remove it, for example "
            "with tr -d '\\000', or give --encoding if this is text of another encoding"
        )
    if count:
        raise TextFileError(
            f"{source} is binary, neither text nor Parquet; give a CSV, TSV, Parquet or JSON lines file"
        )
