"""Strip modules of what only people and type checkers read: Lambda compiles them at every cold start.

Text is cut, and no line goes away: line 12 of a stripped module is line 12 of its source, whichever Python strips it.
"""

import ast
import functools
import io
import tokenize
from collections.abc import Iterator

#: A cut from (line, byte) to (line, byte), lines from 1, and the text in its place.
_Cut = tuple[tuple[int, int], tuple[int, int], bytes]
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.cache
def stripped(source: str) -> str:
    """Return the source of a module without comments, docstrings, annotations and ``if TYPE_CHECKING`` blocks."""
    lines = [bytearray(line) for line in source.encode().splitlines(keepends=True)]
    for (first, start), (last, end), put in sorted([*_comments(source), *_cuts(ast.parse(source), lines)])[::-1]:
        for number in range(first, last + 1):
            line = lines[number - 1]
            stop = end if number == last else len(line)
            line[start if number == first else 0 : stop] = put if number == first else b""
            # What is left of it ends without blanks, in a line's end of its own.
            line[:] = line.rstrip() + b"\n"
    return b"".join(lines).decode()


def _comments(source: str) -> Iterator[_Cut]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            start = len(token.line[:column].encode())
            yield (row, start), (row, start + len(token.string.encode())), b""


def _cuts(tree: ast.AST, lines: list[bytearray]) -> Iterator[_Cut]:
    """Find docstrings, annotations that stand on one line, types of fields, and imports for type checkers."""
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTION))
            and ast.get_docstring(node, clean=False) is not None
        ):
            alone = len(node.body) == 1 and not isinstance(node, ast.Module)
            yield (node.body[0].lineno, node.body[0].col_offset), _end(node.body[0]), b"pass" if alone else b""
        if isinstance(node, ast.arg) and node.annotation:
            yield from _annotation((node.lineno, node.col_offset + len(node.arg.encode())), node.annotation)
        elif isinstance(node, ast.AnnAssign) and node.value:
            yield from _annotation(_end(node.target), node.annotation)
        elif isinstance(node, ast.If) and not node.orelse and ast.unparse(node.test) == "TYPE_CHECKING":
            yield (node.lineno, node.col_offset), _end(node), b""
        elif isinstance(node, ast.ClassDef) and not _for_checkers_only(node):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and not field.value:
                    yield (field.lineno, field.col_offset), _end(field), b""
        elif isinstance(node, _FUNCTION) and node.returns:
            before = lines[node.returns.lineno - 1][: node.returns.col_offset]
            arrow = len(before[: before.rindex(b"->")].rstrip())
            yield from _annotation((node.returns.lineno, arrow), node.returns)


def _for_checkers_only(node: ast.ClassDef) -> bool:
    """Whether a class would be empty without the types of its fields."""
    return all(isinstance(one, ast.Expr) or (isinstance(one, ast.AnnAssign) and not one.value) for one in node.body)


def _annotation(start: tuple[int, int], annotation: ast.expr) -> Iterator[_Cut]:
    end = _end(annotation)
    if start[0] == end[0]:
        yield start, end, b""


def _end(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0
