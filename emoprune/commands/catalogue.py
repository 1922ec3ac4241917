"""What is there to work with: plug-ins with what they do and take, examples, and runs; all as plain data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from emoprune import plugins
from emoprune.commands.methods import described
from emoprune.commands.taxonomies import leaf_of, taxonomies
from emoprune.config import example_text
from emoprune.contracts import about_of
from emoprune.errors import EmopruneError, RunCorrupt, TrustError
from emoprune.plugins.complaints import expectation, schema_of, shown
from emoprune.run import Run, runs_in

__all__ = ["details", "overview"]

SHORT = 60  # characters of a default


def overview(runs: Path) -> dict[str, Any]:
    """Return the names of everything, without importing any of it."""
    return {
        "problems": list(plugins.available("problem")),
        "algorithms": list(plugins.available("algorithm")),
        "operators": {kind: list(plugins.available(kind)) for kind in plugins.OPERATOR_KINDS},
        **{plugins.PLURALS[kind]: list(plugins.available(kind)) for kind in plugins.METHOD_KINDS},
        "examples": list(plugins.available("example")),
        "runs": [folder.name for folder in runs_in(runs)],
    }


def details(what: str, runs: Path) -> dict[str, Any]:
    """Return what there is of one kind, such as problems, criteria, examples or runs, each described."""
    listed: Mapping[str, Callable[[], dict[str, Any]]] = {
        "problems": _problems,
        "algorithms": lambda: _plugins("algorithm"),
        "operators": lambda: {kind: _plugins(kind) for kind in plugins.OPERATOR_KINDS},
        **{plugins.PLURALS[kind]: partial(_plugins, kind) for kind in plugins.METHOD_KINDS},
        "criteria": _criteria,
        "examples": _examples,
        "runs": lambda: {folder.name: _run(folder) for folder in runs_in(runs)},
    }
    return {what: listed[what](), **(taxonomies() if what == "criteria" else {})}


def _plugins(kind: str) -> dict[str, Any]:
    return {name: _plugin(kind, name) for name in plugins.available(kind)}


def _plugin(kind: str, name: str) -> dict[str, Any]:
    """Describe a plug-in by its documentation and options; one that cannot be imported by the reason."""
    try:
        factory = plugins.find(kind, name)
        options = _options(factory)
    except EmopruneError as error:
        return {"unusable": str(error)}
    own = about_of(factory)
    said = {} if own is None else described(kind, name, own)
    return {"does": plugins.summary(factory), **said, **({"options": options} if options else {})}


def _problems() -> dict[str, Any]:
    """Describe each problem, with the options that its audit and its recovery take."""
    return {name: {**_plugin("problem", name), **_asked(name)} for name in plugins.available("problem")}


def _asked(problem: str) -> dict[str, Any]:
    """Return the options of a problem's audit and recovery, by `--set` of the command that asks for it."""
    found: dict[str, Any] = {}
    for command in ("audit", "recover"):
        try:
            member = getattr(plugins.find("problem", problem), command, None)
            options = {} if member is None else _options(member, keyword_only=True)
        except EmopruneError:
            continue  # why it cannot be imported is said already
        found |= {f"options of emoprune {command}": options} if options else {}
    return found


def _criteria() -> dict[str, Any]:
    """Describe each criterion, with its leaf, its place in the taxonomies of the field."""
    return {name: {**_plugin("criterion", name), "leaf": leaf_of(name)} for name in plugins.available("criterion")}


def _options(factory: Callable[..., Any], *, keyword_only: bool = False) -> dict[str, str]:
    """Return by name what each option takes, what it is by default, and what it means if the factory says so."""
    schema = schema_of(plugins.options_model(factory, keyword_only=keyword_only))
    meant = plugins.meanings(factory)
    found = {}
    for name, fragment in schema.get("properties", {}).items():
        takes = expectation(fragment, schema) or "anything"
        required = name in schema.get("required", ())
        default = "required" if required else f"{_default(fragment.get('default'))} by default"
        found[name] = "; ".join([takes, default, *([meant[name]] if name in meant else [])])
    return found


def _default(value: object) -> str:
    """Write a default, short lists and mappings with all that is in them."""
    text = json.dumps(value) if isinstance(value, list | Mapping) else ""
    return text if 0 < len(text) <= SHORT else shown(value)


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
    except (RunCorrupt, TrustError) as error:
        return {"unusable": str(error)}
    return {
        "problem": manifest.get("problem"),
        "state": progress.state.value,
        "evaluated": progress.evaluated,
        "created": manifest.get("created"),
    }
