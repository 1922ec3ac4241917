"""What the product's source never does: run what it reads, or carry a name that says nothing."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from source_for_tests import ROOT, Module, imports, modules, planted

UNPICKLERS = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}  # reading with them runs code
# testing sends a problem through pickle and back, as Ray does; cluster packs what a driver sends through Ray to its
# own workers; neither ever reads a file.
MAY_PICKLE = {"testing", "cluster"}

EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "core", "misc", "manager"}
EMPTY_CLASSES = ("Manager", "Handler", "Factory", "Context")


def unpicklers(tree: list[Module]) -> Iterator[str]:
    """Name every import of a library that runs code out of the files it reads, with its place."""
    for module in tree:
        for line, target in imports(module, set()):
            if target.split(".")[0] in UNPICKLERS and module.part not in MAY_PICKLE:
                yield f"{module.place}:{line}: imports {target}, which runs what it reads; use JSON or safetensors"


def full_names(tree: ast.Module) -> dict[str, str]:
    """Map each name that an import binds to what it stands for: `t` -> `torch` after `import torch as t`."""
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bound.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            bound.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return bound


def option(call: ast.Call, name: str) -> object:
    values = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def never(call: ast.Call) -> bool:
    return False


def given_true(name: str) -> Callable[[ast.Call], bool]:
    return lambda call: option(call, name) is True


def not_asked_for(name: str) -> Callable[[ast.Call], bool]:
    return lambda call: option(call, name) is False or all(keyword.arg != name for keyword in call.keywords)


# Calls that run what they read -> when they are safe all the same.
DANGEROUS: dict[str, Callable[[ast.Call], bool]] = {
    **dict.fromkeys(["eval", "exec", "__import__", "os.system", "pandas.read_pickle"], never),
    **dict.fromkeys(
        ["yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.unsafe_load_all"], never
    ),
    "torch.load": given_true("weights_only"),
    "numpy.load": not_asked_for("allow_pickle"),
}


def dangerous_calls(tree: list[Module]) -> Iterator[str]:
    """Name every call in the product that would run code out of a file, with its place."""
    for module in tree:
        bound = full_names(module.tree)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                head, dot, rest = ast.unparse(node.func).partition(".")
                called = f"{bound.get(head, head)}{dot}{rest}"
                if called in DANGEROUS and not DANGEROUS[called](node):
                    yield f"{module.place}:{node.lineno}: calls {called}, which runs what it reads"


# The one place that imports by a name that a config gives, and with it what decides which runs are trusted; the
# package's own attributes; and scripts that go into exports, which run without emoprune.
MAY_IMPORT = {
    "emoprune/plugins/registry.py",
    "emoprune/__init__.py",
    "problems/networks/standalone/load_from_factory.py",
    "problems/networks/transformers/standalone/load.py",
}


def importers(tree: list[Module]) -> Iterator[str]:
    """Name every import by a name that is only known while the program runs, with its place."""
    for module in tree:
        bound = full_names(module.tree)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and module.place not in MAY_IMPORT:
                head, dot, rest = ast.unparse(node.func).partition(".")
                if f"{bound.get(head, head)}{dot}{rest}" == "importlib.import_module":
                    yield f"{module.place}:{node.lineno}: imports by name; ask emoprune.plugins.find"


def empty_names(tree: list[Module]) -> Iterator[str]:
    """Name every module and class whose name says nothing about what it is."""
    for module in tree:
        if EMPTY_NAMES & set(module.name.replace("_", ".").split(".")):
            yield f"{module.place}: a module is named by its concept, not {module.name.split('.')[-1]!r}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name.endswith(EMPTY_CLASSES):
                yield f"{module.place}:{node.lineno}: a class is named by what it is, not {node.name!r}"


@pytest.fixture(scope="module")
def product() -> list[Module]:
    """The product's source, read once."""
    return modules(ROOT)


@pytest.mark.parametrize("rule", [unpicklers, dangerous_calls, importers, empty_names])
def test_the_product_keeps_the_rule(product: list[Module], rule: Callable[[list[Module]], Iterator[str]]) -> None:
    broken = list(rule(product))
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize("source", ["import pickle", "from dill import loads", "import joblib as j"])
def test_a_planted_unpickler_is_found_with_its_place(tmp_path: Path, source: str) -> None:
    found = list(unpicklers(planted(tmp_path, "emoprune/run/reader.py", f"def late():\n    {source}")))
    assert len(found) == 1
    assert found[0].startswith("emoprune/run/reader.py:2: imports")


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("import torch\ntorch.load(path)", "torch.load"),
        ("import torch as t\nt.load(path, weights_only=False)", "torch.load"),
        ("from torch import load as read\nread(path)", "torch.load"),
        ("from yaml import load\nload(text)", "yaml.load"),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "numpy.load"),
        ("import numpy as np\nnp.load(path, allow_pickle=trusted)", "numpy.load"),
        ("text = 1\neval(text)", "eval"),
        ("text = 1\nexec(text)", "exec"),
    ],
)
def test_a_planted_dangerous_call_is_found_with_its_place(tmp_path: Path, source: str, call: str) -> None:
    found = list(dangerous_calls(planted(tmp_path, "problems/networks/reading.py", source)))
    assert found == [f"problems/networks/reading.py:2: calls {call}, which runs what it reads"]


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "model.eval()",
    ],
)
def test_a_safe_call_is_let_through(tmp_path: Path, source: str) -> None:
    assert not list(dangerous_calls(planted(tmp_path, "problems/networks/reading.py", source)))


@pytest.mark.parametrize(
    "source", ["import importlib\nimportlib.import_module(n)", "from importlib import import_module as i\ni(n)"]
)
def test_a_planted_import_by_name_is_found_with_its_place(tmp_path: Path, source: str) -> None:
    found = list(importers(planted(tmp_path, "problems/networks/reading.py", source)))
    assert found == ["problems/networks/reading.py:2: imports by name; ask emoprune.plugins.find"]


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("problems/networks/utils.py", ""),
        ("emoprune/run_helpers.py", ""),
        ("operators/core/mutation.py", ""),
        ("emoprune/run/reader.py", "class RunManager: ..."),
    ],
)
def test_a_planted_empty_name_is_found_with_its_place(tmp_path: Path, place: str, source: str) -> None:
    found = list(empty_names(planted(tmp_path, place, source)))
    assert len(found) == 1
    assert found[0].startswith(place)
