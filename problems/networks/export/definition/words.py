"""Traced code in the words a person would use: familiar names, and few variables that are used again."""

from __future__ import annotations

import ast
import inspect
import keyword
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch.nn import functional

from emoprune.problems.networks.export.definition.layers import NotDefinable

__all__ = ["is_name", "readable_statements"]


def is_name(text: str) -> bool:
    """Whether Python takes it after a dot."""
    return text.isidentifier() and not keyword.iskeyword(text)


def readable_statements(source: str) -> list[ast.stmt]:
    """Return the body of the one function in fx's `source`, rewritten.

    fx gives every value a variable of its own and frees it by a statement `= None` after its last use; here the next
    value takes the freed variable, so that no more memory is held.

    Raises:
        NotDefinable: There is something else beside the function, or it is not Python.
    """
    try:
        parsed = ast.parse(source).body
    except SyntaxError as error:
        raise NotDefinable("one of its layers has a name that Python keeps for itself") from error
    function = parsed[0]
    if len(parsed) != 1 or not isinstance(function, ast.FunctionDef):
        raise NotDefinable("its forward calls functions that were marked to be left alone while tracing")
    variables = _Variables()
    made: list[ast.stmt] = []
    for statement, freed in _with_freed(function.body):
        renamed = variables.renamed(_Familiar().visit(statement), freed)
        if not _says_nothing(renamed):
            made.append(ast.fix_missing_locations(renamed))
    return made


def _says_nothing(statement: ast.stmt) -> bool:
    """Whether it assigns a variable to itself, as is left of a value that was changed in place."""
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == ast.unparse(statement.value)


def _with_freed(body: list[ast.stmt]) -> list[tuple[ast.stmt, list[str]]]:
    """Return each statement with the variables that are freed after it."""
    found: list[tuple[ast.stmt, list[str]]] = []
    for statement in body:
        if isinstance(statement, ast.Assign) and _is_none(statement.value):
            found[-1][1].extend(ast.unparse(target) for target in statement.targets)
        else:
            found.append((statement, []))
    return found


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


@dataclass(slots=True)
class _Variables:
    """Which variable holds each of fx's values, and which are free to hold another."""

    names: dict[str, str] = field(default_factory=dict)
    made: int = 0
    free: list[str] = field(default_factory=list)

    def renamed(self, statement: ast.stmt, freed: list[str]) -> ast.stmt:
        """Return the statement over these variables; what it assigns may take one of those that are freed after it."""
        target = None
        if isinstance(statement, ast.Assign):
            target = ast.unparse(statement.targets[0])
            self._rename(statement.value)
        else:
            self._rename(statement)
        self._release(name for name in freed if name != target)
        if isinstance(statement, ast.Assign) and target is not None:
            self.names[target] = self._taken()
            statement.targets = [ast.Name(self.names[target], ast.Store())]
            self._release(name for name in freed if name == target)
        return statement

    def _rename(self, tree: ast.AST) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in self.names:
                node.id = self.names[node.id]

    def _release(self, freed: Iterable[str]) -> None:
        # The function's own argument has no other name, and is the caller's: nothing takes its place.
        self.free.extend(self.names[name] for name in freed if name in self.names)
        self.free.sort(key=lambda name: (len(name), name))

    def _taken(self) -> str:
        if self.free:
            return self.free.pop(0)
        self.made += 1
        return "x" if self.made == 1 else f"x{self.made}"


class _Familiar(ast.NodeTransformer):
    """Rewrites what fx spells in its own way."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # ast's own name for it
        """Leave the types of values out."""
        self.generic_visit(node)
        assert node.value is not None  # noqa: S101  # fx never declares without a value; narrows the type
        return ast.Assign([node.target], node.value)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # ast's own name for it
        """Write `functional.gelu` for `torch._C._nn.gelu` and `torch.nn.functional.gelu`."""
        written = ast.unparse(node)
        if written.startswith(("torch._C._nn.", "torch.nn.functional.")) and hasattr(functional, node.attr):
            return ast.Attribute(ast.Name("functional", ast.Load()), node.attr, node.ctx)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:  # ast's own name for it
        """Write `x.shape` for `getattr(x, "shape")`, and no argument that is a function's default."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) == 2:
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_name(str(name.value)):
                return ast.Attribute(node.args[0], str(name.value), ast.Load())
        defaults = _defaults(node.func)
        node.keywords = [each for each in node.keywords if defaults.get(str(each.arg)) != ast.unparse(each.value)]
        return node


def _defaults(function: ast.expr) -> dict[str, str]:
    """Return the defaults of a function in `torch.nn.functional`, as they are written."""
    if not ast.unparse(function).startswith("functional.") or not isinstance(function, ast.Attribute):
        return {}
    try:
        parameters = inspect.signature(getattr(functional, function.attr)).parameters
    except ValueError:  # one that is compiled does not say
        return {}
    return {name: repr(each.default) for name, each in parameters.items()}
