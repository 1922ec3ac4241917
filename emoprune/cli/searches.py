"""The commands that search: what can be pruned, a new search, and one that goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoprune.cli.arguments import (
    AddressOption,
    Backend,
    BackendOption,
    ConfigArgument,
    JsonOption,
    RunArgument,
    RunsOption,
    SetOption,
    TrustOption,
    WorkersOption,
)

if TYPE_CHECKING:
    from emoprune.loop.search import Search

__all__ = ["groups", "resume", "run"]


def groups(config: ConfigArgument, *, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Show what can be pruned and how far, before any search."""
    from emoprune.cli import output
    from emoprune.commands.inspection import inspect
    from emoprune.config import load

    output.inspection(inspect(load(config, overrides or ())), as_json=as_json)


def run(
    config: ConfigArgument,
    *,
    overrides: SetOption = None,
    name: Annotated[str | None, typer.Option(help="The run's name; by default made of date and problem.")] = None,
    runs: RunsOption = Path("runs"),
    workers: WorkersOption = None,
    address: AddressOption = None,
    backend: BackendOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, show the plan, write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a search and show its front."""
    from emoprune.config import load
    from emoprune.run.beginning import check_free

    check_free(name, runs)  # before a problem is imported, which can take long
    checked = load(config, _overrides(overrides, workers, address, backend))
    if dry_run:
        from emoprune.cli import output
        from emoprune.commands.dry_run import dry_run as plan_of

        output.show("plan", plan_of(checked, runs, name), as_json=as_json)
        return
    from emoprune.loop.search import Search

    _follow(Search(checked, runs=runs, name=name), as_json=as_json)


def resume(
    run: RunArgument,
    *,
    overrides: SetOption = None,
    runs: RunsOption = Path("runs"),
    workers: WorkersOption = None,
    address: AddressOption = None,
    backend: BackendOption = None,
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run where it ended.

    Only its budget (search.generations, search.evaluations, search.time_limit) and evaluation.* may change.
    """
    from emoprune.loop.search import resume as resumed
    from emoprune.run import find_run, open_run

    words = _overrides(overrides, workers, address, backend)
    _follow(resumed(open_run(find_run(run, runs)), overrides=words, trust_code=trust_code), as_json=as_json)


def _overrides(
    given: Sequence[str] | None, workers: str | None, address: str | None, backend: Backend | None
) -> list[str]:
    """Return the overrides with the short options written out after them."""
    short = {"workers": workers, "address": None if address is None else json.dumps(address), "backend": backend}
    return [*(given or ()), *(f"evaluation.{key}={value}" for key, value in short.items() if value is not None)]


def _follow(search: Search, *, as_json: bool) -> None:
    from emoprune.cli.follow import follow

    code = follow(search, as_json=as_json)
    if code:
        raise typer.Exit(code)
