"""Source text without what does not run: comments, docstrings, annotations, and blocks that are not wanted.

The text is cut, not written anew, so the result is the same under every release of Python.
"""

import ast
import io
import tokenize
from collections.abc import Callable, Iterator

#: A span of the source as (line, byte) to (line, byte), lines from 1, and what is put there.
Edit = tuple[tuple[int, int], tuple[int, int], bytes]
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)

#: What stands in the place of a block, and of a function, that was left out.
BLOCK, FUNCTION = b"raise Elsewhere", b"elsewhere"


def lean(
    source: str,
    *,
    unwanted: Callable[[int, int], bool] | None = None,
    uncalled: Callable[[int], bool] = lambda line: False,
) -> str:
    """A module's source without comments, docstrings and annotations.

    Parameters
    ----------
    unwanted : whether the statement from one line to another is left out, if all that follow it in its block are. A
        raise of ``Elsewhere`` stands there then, and in the place of a function's whole body a function that is called
        ``elsewhere``.
    uncalled : whether the lambdas of a line are left out; ``elsewhere`` stands there then.

    Raises
    ------
    SyntaxError
        where it is no Python.
    """
    lines = source.encode().splitlines(keepends=True)
    tree = ast.parse(source)
    edits = [*_comments(source), *_annotations(tree, lines), *_docstrings(tree), *_blank(tree, lines)]
    edits += [*_blocks(tree, unwanted), *_lambdas(tree, uncalled)]
    return applied(lines, edits).decode()


def applied(lines: list[bytes], edits: list[Edit]) -> bytes:
    """The text with the edits made; of two of which one holds the other, the larger."""
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    whole, parts, at, reached = b"".join(lines), [], 0, (0, 0)
    for first, last, text in sorted(edits, key=lambda edit: (edit[0], (-edit[1][0], -edit[1][1]))):
        if last <= reached:
            continue
        reached = last
        start, end = first[1], last[1]
        before, after = lines[first[0] - 1][:start], lines[last[0] - 1][end:]
        if not text and not after.strip():
            # What stood alone on its lines leaves no empty one, and what followed code no blanks.
            start, end = (len(before.rstrip()), end) if before.strip() else (0, end + len(after))
        start, end = starts[first[0] - 1] + start, starts[last[0] - 1] + end
        parts += [whole[at:start], text]
        at = end
    return b"".join([*parts, whole[at:]])


def _comments(source: str) -> Iterator[Edit]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            start = len(token.line[:column].encode())
            yield (row, start), (row, start + len(token.string.encode())), b""


def _blank(tree: ast.AST, lines: list[bytes]) -> Iterator[Edit]:
    """Empty lines that are no part of a text."""
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr))
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    for place, line in enumerate(lines, start=1):
        if not line.strip() and place not in texts:
            yield (place, 0), (place, len(line)), b""


def _bodies(tree: ast.AST) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                yield node, block


def span(block: list[ast.stmt]) -> tuple[tuple[int, int], tuple[int, int]]:
    first, last = block[0], block[-1]
    decorators = getattr(first, "decorator_list", [])
    start = (decorators[0].lineno, decorators[0].col_offset - 1) if decorators else (first.lineno, first.col_offset)
    return start, (last.end_lineno or last.lineno, last.end_col_offset or 0)


def _blocks(tree: ast.AST, unwanted: Callable[[int, int], bool] | None) -> Iterator[Edit]:
    """The ends of blocks that are left out."""
    if unwanted is None:
        return
    for node, block in _bodies(tree):
        if isinstance(node, (ast.Module, ast.ClassDef)):
            continue
        if isinstance(node, ast.If) and block is node.orelse and len(block) == 1 and isinstance(block[0], ast.If):
            continue  # an `elif`: its own body is a block
        left = len(block)
        while left and unwanted(*(line for line, _ in span([block[left - 1]]))):
            left -= 1
        if all(isinstance(one, ast.Pass) for one in block[left:]):
            continue
        function = node if isinstance(node, _Function) and not left else None
        if function and not function.decorator_list:
            yield *span([function]), function.name.encode() + b" = " + FUNCTION
        elif function and len(function.decorator_list) == 1 and isinstance(function.decorator_list[0], ast.Name):
            decorator = function.decorator_list[0].id
            yield *span([function]), f"{function.name} = {decorator}(".encode() + FUNCTION + b")"
        else:
            yield *span(block[left:]), BLOCK


def _lambdas(tree: ast.AST, uncalled: Callable[[int], bool]) -> Iterator[Edit]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and uncalled(node.lineno):
            yield (node.lineno, node.col_offset), _end(node), FUNCTION


def _docstrings(tree: ast.AST) -> Iterator[Edit]:
    """Docstrings and names that are only annotated; a body of nothing else is ``pass``."""
    for node, block in _bodies(tree):
        away = [one for place, one in enumerate(block) if _says_nothing(one, first=place == 0, of=node)]
        if not away:
            continue
        if len(away) == len(block) and not isinstance(node, ast.Module):
            yield *span(block), b"pass"
            continue
        for one in away:
            yield *span([one]), b""


def _says_nothing(statement: ast.stmt, *, first: bool, of: ast.AST) -> bool:
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    documented = isinstance(of, (*_Function, ast.ClassDef, ast.Module))
    return (
        first
        and documented
        and isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _annotations(tree: ast.AST, lines: list[bytes]) -> Iterator[Edit]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            start = (node.lineno, node.col_offset + len(node.arg.encode()))
            yield start, _end(node.annotation), b""
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield _end(node.target), _end(node.annotation), b""
        elif isinstance(node, _Function) and node.returns is not None:
            first, column = node.returns.lineno, node.returns.col_offset
            before = lines[first - 1][: lines[first - 1][:column].rindex(b"->")]
            yield (first, len(before.rstrip())), _end(node.returns), b""


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0
