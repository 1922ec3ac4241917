"""Small faults to plant in source, found by its syntax, and some of them drawn by a seed."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutation", "drawn"]

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
DROPPED = (ast.Expr, ast.Raise, ast.AugAssign, ast.Delete, ast.Break, ast.Continue, ast.Assert)
# Lines that state what is there and run once, at import: a fault in them is the import's.
HEADERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A place in a file, in bytes, and what stands there instead; line counts from 1."""

    path: str
    line: int
    start: int
    end: int
    instead: str
    told: str

    def applied(self, source: bytes) -> bytes:
        """Return the source with the fault in it."""
        return source[: self.start] + self.instead.encode() + source[self.end :]


def drawn(root: Path, folder: str, count: int, seed: int) -> list[Mutation]:
    """Draw lines of the folder's source at random, and one fault for each; by the source and the seed alone.

    Raises:
        ValueError: The folder has fewer lines than that.
    """
    lines: dict[tuple[str, int], list[Mutation]] = {}
    sources = [root / folder] if folder.endswith(".py") else (root / folder).rglob("*.py")
    for path in sorted(sources):
        for mutation in mutations(path.read_bytes(), path.relative_to(root).as_posix()):
            lines.setdefault((mutation.path, mutation.line), []).append(mutation)
    if count > len(lines):
        raise ValueError(f"expected at most the {len(lines)} lines of {folder}/, found --count {count}; ask for fewer")
    dice = random.Random(seed)  # noqa: S311  # not for secrets
    return [dice.choice(lines[line]) for line in sorted(dice.sample(sorted(lines), count))]


def mutations(source: bytes, path: str) -> Iterator[Mutation]:
    """Yield every fault that can be planted in a module, by its statements from the top."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for statement in _statements(ast.parse(source)):
        for old, new, told in _faults(statement):
            start = starts[old.lineno - 1] + old.col_offset
            end = starts[(old.end_lineno or old.lineno) - 1] + (old.end_col_offset or 0)
            text = ast.unparse(new)
            instead = f"({text})" if isinstance(new, ast.expr) else text
            yield Mutation(path, statement.lineno, start, end, instead, told)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield statements that do something when they run: no definitions, docstrings, types or lists of names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.stmt) and not isinstance(child, HEADERS) and not _is_said_only(child):
            yield child
        yield from _statements(child)


def _is_said_only(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"


def _faults(statement: ast.stmt) -> Iterator[tuple[ast.stmt | ast.expr, ast.stmt | ast.expr, str]]:
    yield from _of_statement(statement)
    for node in _expressions(statement):
        for new in _of_expression(node):
            yield node, new, f"`{_short(node)}` becomes `{_short(new)}`"


def _of_statement(statement: ast.stmt) -> Iterator[tuple[ast.stmt | ast.expr, ast.stmt | ast.expr, str]]:
    nothing = ast.Constant(None)
    shown = _short(statement)
    if isinstance(statement, DROPPED):
        yield statement, ast.Pass(), f"`{shown}` is dropped"
    if isinstance(statement, (ast.If, ast.While)):
        yield statement.test, ast.UnaryOp(ast.Not(), statement.test), f"`{_short(statement.test)}` is negated"
    if isinstance(statement, ast.For):
        yield statement.iter, ast.Tuple([], ast.Load()), f"the loop over `{_short(statement.iter)}` is empty"
    if isinstance(statement, ast.Return) and statement.value and ast.unparse(statement.value) != "None":
        yield statement.value, nothing, f"`{shown}` returns None"
    if (
        isinstance(statement, (ast.Assign, ast.AnnAssign))
        and statement.value
        and ast.unparse(statement.value) != "None"
    ):
        yield statement.value, nothing, f"`{shown}` assigns None"


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions of the statement itself: none of statements inside it, of types, or of f-strings."""
    left_out = {"annotation", "returns", "body", "orelse", "finalbody", "handlers", "cases", "targets", "target"}
    waiting = [
        child
        for name, value in ast.iter_fields(statement)
        if name not in left_out
        for child in (value if isinstance(value, list) else [value])
    ]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.expr) and not isinstance(node, ast.JoinedStr):
            yield node
        if isinstance(node, ast.AST) and not isinstance(node, ast.JoinedStr):
            waiting[:0] = ast.iter_child_nodes(node)


def _of_expression(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                changed = copy.deepcopy(node)
                changed.ops[place] = other()
                yield changed
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)


def _short(node: ast.AST) -> str:
    """Return the first line of the source, shortened, in a form that a cell of a table holds."""
    text = ast.unparse(node).splitlines()[0].replace("|", "\\|").replace("`", "'")
    return text if len(text) <= 60 else f"{text[:57]}..."
