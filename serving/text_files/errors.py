"""The error of a file that is no table of text."""


class TextFileError(Exception):
    """A file cannot be read as a table of text; one line for a person, without what is in the file."""
