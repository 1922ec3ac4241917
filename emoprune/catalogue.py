"""What is there to work with: plug-ins with what they do and take, examples, and runs; all as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from emoprune import plugins
from emoprune.complaints import expectation, schema_of, shown
from emoprune.config import example_text
from emoprune.errors import EmopruneError, RunCorrupt
from emoprune.run import Run, runs_in

__all__ = ["details", "overview"]


def overview(runs: Path) -> dict[str, Any]:
    """Return the names of everything, without importing any of it."""
    return {
        "problems": list(plugins.available("problem")),
        "operators": {kind: list(plugins.available(kind)) for kind in plugins.OPERATOR_KINDS},
        "examples": list(plugins.available("example")),
        "runs": [folder.name for folder in runs_in(runs)],
    }


def details(what: str, runs: Path) -> dict[str, Any]:
    """Return what there is of problems, operators, examples or runs, each with what a person wants to know of it."""
    listed: Mapping[str, Callable[[], dict[str, Any]]] = {
        "problems": lambda: _plugins("problem"),
        "operators": lambda: {kind: _plugins(kind) for kind in plugins.OPERATOR_KINDS},
        "examples": _examples,
        "runs": lambda: {folder.name: _run(folder) for folder in runs_in(runs)},
    }
    return {what: listed[what]()}


def _plugins(kind: str) -> dict[str, Any]:
    return {name: _plugin(kind, name) for name in plugins.available(kind)}


def _plugin(kind: str, name: str) -> dict[str, Any]:
    """Describe a plug-in by its documentation and options; one that cannot be imported by the reason."""
    try:
        factory = plugins.find(kind, name)
        options = dict(_options(plugins.options_model(factory)))
    except EmopruneError as error:
        return {"unusable": str(error)}
    return {"does": plugins.summary(factory), **({"options": options} if options else {})}


def _options(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    schema = schema_of(model)
    for name, fragment in schema.get("properties", {}).items():
        takes = expectation(fragment, schema) or "anything"
        required = name in schema.get("required", ())
        yield name, f"{takes}; required" if required else f"{takes}; {shown(fragment.get('default'))} by default"


def _examples() -> dict[str, Any]:
    return {
        name: {"does": _first_comment(name), "try": f"emoprune run {name}"} for name in plugins.available("example")
    }


def _first_comment(name: str) -> str:
    comments = [line.lstrip("# ") for line in example_text(name).splitlines() if line.startswith("#")]
    return comments[0] if comments else ""


def _run(folder: Path) -> dict[str, Any]:
    try:
        run = Run(folder)
        progress, manifest = run.progress, run.manifest
    except RunCorrupt as error:
        return {"unusable": str(error)}
    return {
        "problem": manifest.get("problem"),
        "state": progress.state.value,
        "evaluated": progress.evaluated,
        "created": manifest.get("created"),
    }
