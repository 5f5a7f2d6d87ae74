"""Sources without what does not run still say the same."""

import ast
from pathlib import Path

import pytest

import serving
from serving.packaging.lean import lean
from serving.packaging.unused import without_unused

SOURCES = sorted(Path(serving.__file__).parent.rglob("*.py"))


class Bare(ast.NodeTransformer):
    """A tree without docstrings and annotations."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
            node.body = [one for one in node.body if not isinstance(one, ast.AnnAssign) or one.value]
            if not isinstance(node, ast.Module):
                node.body = node.body or [ast.Pass()]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign) and node.value:
            return ast.Assign([node.target], node.value, lineno=0)
        return node


def test_every_module_keeps_its_meaning() -> None:
    assert len(SOURCES) > 50
    for file in SOURCES:
        source = file.read_text(encoding="utf-8")
        expected = ast.unparse(Bare().visit(ast.parse(source)))
        found = lean(source)
        assert ast.unparse(ast.parse(found)) == expected, file
        assert lean(found) == found, file


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1  # why\n# that\ny = '#'\n", "x = 1\ny = '#'\n"),
        ('"""Doc."""\n\nx: int = 1\n', "x = 1\n"),
        ('def f(a: int, *, b: str = "x") -> None:\n    """Doc."""\n', 'def f(a, *, b = "x"):\n    pass\n'),
        ("class A:\n    x: int\n\n    y: int = 2\n", "class A:\n    y = 2\n"),
        ('x = """a\n\n  # b\n"""\n', 'x = """a\n\n  # b\n"""\n'),
        ("def f(é: 'ü') -> 'ä': return é  # ö\n", "def f(é): return é\n"),
        ("if x:\n    pass\n\n\nelse:\n    y = 1\n", "if x:\n    pass\nelse:\n    y = 1\n"),
    ],
)
def test_what_is_cut(source: str, expected: str) -> None:
    assert lean(source) == expected


def test_blocks_that_are_not_wanted_are_raises() -> None:
    source = """\
def ran(x):
    if x:
        y = 1
    elif x is None:
        y = 2
    else:
        y = 3
    for one in x:
        y += one
    return y


def never(x, y=2):
    return x


class A:
    @property
    def never(self):
        return 1

    def ran(self):
        return 2
        print("after")

f = lambda: 1
"""
    kept = {1, 2, 3, 8, 9, 10, 22, 23}
    found = lean(
        source,
        unwanted=lambda first, last: not kept & set(range(first, last + 1)),
        uncalled=lambda line: True,
    )
    assert (
        found
        == """\
def ran(x):
    if x:
        y = 1
    elif x is None:
        raise Elsewhere
    else:
        raise Elsewhere
    for one in x:
        y += one
    return y
never = elsewhere
class A:
    never = property(elsewhere)
    def ran(self):
        return 2
        raise Elsewhere
f = elsewhere
"""
    )


def test_what_nothing_names_is_dropped_and_nothing_else() -> None:
    modules = {
        "a.py": "import math\nfrom bisect import bisect\nONE = 1\nTWO = ONE\n\ndef f():\n    return g\n"
        "\ndef load():\n    return 3\n",
        "b.py": "from .a import ONE\n\nclass B:\n    unused = 1\n    named = 2\n    __slots__ = ()\n"
        "\nprint(B().named)\n",
    }
    found = without_unused(modules, keep=("load",))
    assert found == {
        "a.py": "\n\ndef load():\n    return 3\n",
        "b.py": "\nclass B:\n    named = 2\n    __slots__ = ()\n\nprint(B().named)\n",
    }
