"""The design matrix of a fitted patsy formula as columns: variables, functions, powers, products and categories."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from .. import steps as kinds
from ..fields import NUMBER
from .functions import FUNCTIONS
from .trace import Trace, TracedColumn, finite, unsupported

#: Python's operators with a constant on the right, as steps.
_WITH_CONSTANT = {ast.Add: kinds.Add, ast.Sub: kinds.Subtract, ast.Mult: kinds.Multiply, ast.Div: kinds.Divide}
_HIGHEST_POWER = 20


def variables(design: Any) -> list[str]:
    """The names that the factors of a formula use, in order; some may be none of the table."""
    found: dict[str, None] = {}
    for factor in (factor for term in design.terms for factor in term.factors):
        for node in _in_order(_parsed(factor)):
            if (name := _quoted(node)) is not None:
                found[name] = None
            elif isinstance(node, ast.Name):
                found[node.id] = None
    return list(found)


def design_columns(
    design: Any, columns: dict[str, TracedColumn], trace: Trace, path: str
) -> Iterator[TracedColumn | None]:
    """The columns of a design matrix, one by one; None for the column of ones.

    Parameters
    ----------
    design : patsy's ``DesignInfo``.
    columns : of the table, by name.

    Raises
    ------
    Unsupported
        where a factor is none of the above; names it.
    """
    factors = _Factors(design, columns, trace, path)
    for term, subterms in design.term_codings.items():
        for subterm in subterms:
            parts = [factors.columns(factor, subterm.contrast_matrices.get(factor)) for factor in subterm.factors]
            # The columns of the first factor change fastest, as patsy has it.
            for chosen in product(*reversed(parts)):
                if len(chosen) < 2:
                    yield chosen[0] if chosen else None
                    continue
                label = " × ".join(one.label for one in reversed(chosen))
                yield trace.product([trace.require(one) for one in reversed(chosen)], label or term.name())


class _Factors:
    """The columns that factors of a formula stand for."""

    def __init__(self, design: Any, columns: dict[str, TracedColumn], trace: Trace, path: str) -> None:
        self._design, self._columns, self._trace, self._path = design, columns, trace, path

    def columns(self, factor: Any, contrast: Any) -> list[TracedColumn]:
        """One column for a number, one for each column of its contrast for a category."""
        info = self._design.factor_infos[factor]
        if info.type == "categorical":
            return self._categories(factor, info.categories, contrast)
        if info.num_columns != 1:
            raise unsupported(self._path, factor.name(), f"it makes {info.num_columns} columns of a variable")
        found = self._number(_parsed(factor), factor.name())
        return [self._trace.require(self._trace.then(found, label=factor.name()))]

    def _categories(self, factor: Any, categories: Any, contrast: Any) -> list[TracedColumn]:
        column = self._category(_parsed(factor), factor.name())
        texts = all(isinstance(one, str) for one in categories)
        if texts:
            keys: list[kinds.Category] = [str(one) for one in categories]
            column = self._trace.textual(column, self._path, factor.name())
        elif all(isinstance(one, (bool, int, float, np.number, np.bool_)) for one in categories):
            keys = [finite(one, self._path, factor.name(), "category") for one in categories]
            boolean = all(isinstance(one, (bool, np.bool_)) for one in categories)
            column = self._trace.numeric(column, self._path, factor.name(), boolean=boolean)
        else:
            raise unsupported(self._path, factor.name(), "its categories are neither texts nor numbers")
        column = self._trace.require(column)
        found = []
        for suffix, weights in zip(contrast.column_suffixes, np.asarray(contrast.matrix).T.tolist(), strict=True):
            values: list[float | None] = [finite(one, self._path, factor.name(), "contrast") for one in weights]
            coded = self._trace.then(column, kinds.Lookup(keys, values, "refuse"), label=factor.name() + suffix)
            found.append(replace(coded, kind=NUMBER))
        return found

    def _category(self, node: ast.expr, name: str) -> TracedColumn:
        """The column of a category: a variable, or ``C(variable, ...)``, whose coding the contrast says."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "C" and node.args:
            node = node.args[0]
        found = self._variable(node)
        if found is None:
            raise unsupported(self._path, name, "its categories are computed, not a column of the table")
        return found

    def _variable(self, node: ast.expr) -> TracedColumn | None:
        name = _quoted(node) or (node.id if isinstance(node, ast.Name) else None)
        if name is None:
            return None
        if name not in self._columns:
            raise unsupported(self._path, name, "the formula uses it, and it is no column of the table")
        return self._columns[name]

    def _number(self, node: ast.expr, name: str) -> TracedColumn:
        """The column that an expression computes."""
        variable = self._variable(node)
        if variable is not None:
            return self._trace.numeric(variable, self._path, name)
        match node:
            case ast.Call(func=ast.Name(id="I"), args=[inner], keywords=[]):
                return self._number(inner, name)
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=function), args=[inner], keywords=[]
            ):
                known = FUNCTIONS.get(getattr(np, function, None))
                if known is not None:
                    return self._trace.then(self._number(inner, name), kinds.NumpyFunction(known))
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return self._trace.then(self._number(inner, name), kinds.NumpyFunction("negative"))
            case ast.BinOp(left=left, op=operator, right=right):
                return self._binary(left, operator, right, name)
        raise unsupported(self._path, name, "it is no function, power or product that a scorecard knows")

    def _binary(self, left: ast.expr, operator: ast.operator, right: ast.expr, name: str) -> TracedColumn:
        constant = _constant(right)
        if isinstance(operator, ast.Pow) and isinstance(constant, int) and 2 <= constant <= _HIGHEST_POWER:
            return self._trace.product([self._trace.require(self._number(left, name))] * constant, name)
        if (
            constant is not None
            and type(operator) in _WITH_CONSTANT
            and not (isinstance(operator, ast.Div) and not constant)
        ):
            step = _WITH_CONSTANT[type(operator)](float(constant))
            return self._trace.then(self._number(left, name), step)
        first = _constant(left)
        if first is not None and isinstance(operator, (ast.Add, ast.Mult)):
            return self._binary(right, operator, left, name)
        if first is not None and isinstance(operator, ast.Sub):
            minus = kinds.NumpyFunction("negative"), kinds.Add(float(first))
            return self._trace.then(self._number(right, name), *minus)
        if isinstance(operator, ast.Mult):
            factors = [self._trace.require(self._number(one, name)) for one in (left, right)]
            return self._trace.product(factors, name)
        raise unsupported(self._path, name, "it is no function, power or product that a scorecard knows")


def _parsed(factor: Any) -> ast.expr:
    return ast.parse(getattr(factor, "code", factor.name()), mode="eval").body


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression that may be variables: not the names of functions, nor how ``C`` codes."""
    if isinstance(node, ast.Call):
        if _quoted(node) is not None:
            yield node
            return
        inner = node.args[:1] if isinstance(node.func, ast.Name) and node.func.id == "C" else node.args
        for one in inner:
            yield from _in_order(one)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


def _quoted(node: ast.AST) -> str | None:
    """The name in ``Q("a name")``."""
    match node:
        case ast.Call(func=ast.Name(id="Q"), args=[ast.Constant(value=str(name))], keywords=[]):
            return name
    return None


def _constant(node: ast.expr) -> int | float | None:
    match node:
        case ast.Constant(value=value) if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)) if isinstance(value, (int, float)):
            return -value
    return None
