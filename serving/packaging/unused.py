"""Modules without what none of them names any more: functions, constants, methods and imports."""

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from .lean import Edit, applied, span


def without_unused(modules: Mapping[str, str], *, keep: Collection[str]) -> dict[str, str]:
    """The modules without definitions whose names occur nowhere else, until there are none.

    A name counts as used where it occurs as a name, an attribute, an import or a text, in whichever module: more is
    kept than need be, never less.

    Parameters
    ----------
    modules : sources by path; together they are all there is.
    keep : names that are used from outside.
    """
    texts = dict(modules)
    while True:
        trees = {path: ast.parse(text) for path, text in texts.items()}
        used = Counter(name for tree in trees.values() for name in _used(tree))
        used.update(keep)
        changed = False
        for path, tree in trees.items():
            lines = texts[path].encode().splitlines(keepends=True)
            if edits := [*_unused(tree, used)]:
                texts[path] = applied(lines, edits).decode()
                changed = True
        if not changed:
            return texts


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.ImportFrom):
            yield from (name.name for name in node.names)
            yield from (node.module or "").split(".")


def _unused(tree: ast.Module, used: Mapping[str, int]) -> Iterator[Edit]:
    for block in [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]:
        away = [one for one in block if _drops(one, used)]
        if len(away) == len(block) and block is not tree.body:
            if away and not isinstance(block[0], ast.Pass):
                yield *span(block), b"pass"
            continue
        for one in away:
            yield *span([one]), b""
        if block is tree.body:
            for one in block:
                if isinstance(one, (ast.Import, ast.ImportFrom)):
                    yield from _fewer(one, tree)


def _drops(statement: ast.stmt, used: Mapping[str, int]) -> bool:
    """Whether a statement only gives something a name that is not used."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return not statement.decorator_list and _free(statement.name, used)
    if isinstance(statement, ast.Assign):
        names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        return len(names) == len(statement.targets) and all(_free(name, used) for name in names)
    return False


def _free(name: str, used: Mapping[str, int]) -> bool:
    return not name.startswith("__") and not used.get(name)


def _fewer(statement: ast.Import | ast.ImportFrom, tree: ast.Module) -> Iterator[Edit]:
    """An import without the names that its own module does not use, nor gives on."""
    here = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    gives_on = _is_package(tree)
    wanted = [name for name in statement.names if (name.asname or name.name).partition(".")[0] in here or gives_on]
    if len(wanted) == len(statement.names):
        return
    if not wanted:
        yield *span([statement]), b""
        return
    said = ", ".join(f"{name.name} as {name.asname}" if name.asname else name.name for name in wanted)
    source = f"from {'.' * statement.level}{statement.module or ''} " if isinstance(statement, ast.ImportFrom) else ""
    yield *span([statement]), f"{source}import {said}".encode()


def _is_package(tree: ast.Module) -> bool:
    """Whether a module is there to give on what it imports: it lists its names."""
    return any(
        isinstance(one, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in one.targets)
        for one in tree.body
    )
