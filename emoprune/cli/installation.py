"""The commands on what is installed here: what there is, an example to start from, and whether all works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoprune.cli.arguments import (
    AddressOption,
    JsonOption,
    Kind,
    RunsOption,
)
from emoprune.errors import ConfigError

__all__ = ["doctor", "init", "list_"]


def list_(
    kind: Annotated[Kind | None, typer.Argument(help="Only these, in detail.")] = None,
    *,
    runs: RunsOption = Path("runs"),
    tuning_free: Annotated[bool, typer.Option("--tuning-free", help="Methods that train nothing.")] = False,
    serves: Annotated[
        str | None, typer.Option(metavar="PROBLEM", help="Methods that this problem can ask for.")
    ] = None,
    paper: Annotated[
        str | None, typer.Option(metavar="ID", help="Methods of a paper, by its arXiv id or title.")
    ] = None,
    package: Annotated[
        str | None, typer.Option(metavar="NAME", help="Methods that come with an installed package.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Methods as a page of tables.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List problems, methods, operators, examples and runs."""
    from emoprune.cli import output
    from emoprune.commands import catalogue, methods

    if kind is not Kind.METHODS and (tuning_free or serves or paper or package or markdown):
        words = "--tuning-free, --serves, --paper, --package and --markdown"
        raise ConfigError(f"{words} choose among methods: emoprune list methods")
    wanted = methods.Wanted(tuning_free=tuning_free, serves=serves, paper=paper, package=package)
    if kind is Kind.METHODS and markdown:
        typer.echo(methods.page(wanted), nl=False)
        return
    if kind is Kind.METHODS and not as_json:
        output.menu(methods.menu(wanted))
        return
    if kind is Kind.METHODS:
        found = methods.plain(wanted)
    else:
        found = catalogue.overview(runs) if kind is None else catalogue.details(kind.value, runs)
    output.show("list", found, as_json=as_json)


def init(
    example: Annotated[str, typer.Argument(help="The name of an example; `emoprune list examples` shows them.")],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to; by default EXAMPLE.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write an example's config to start from."""
    import shlex

    from emoprune.config import example_text

    path = output or Path(f"{example}.yaml")
    _write(path, example_text(example), force=force)
    command = f"emoprune run {shlex.quote(str(path))}"
    if as_json:
        from emoprune.cli.output import write_object

        write_object("init", {"example": example, "path": str(path), "try": command})
    else:
        typer.echo(f"{path}\nrun it with: {command}")


def _write(path: Path, text: str, *, force: bool) -> None:
    from emoprune.storage import write_atomically

    if path.exists() and not force:
        raise ConfigError(f"{path} exists; choose another place with --output, or replace it with --force")
    write_atomically(path, text)


def doctor(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's name or folder, or 'latest'.")] = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Copy the run without what is broken in it; the run itself stays.")
    ] = False,
    address: AddressOption = None,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Check whether searches can run here, or whether a run's files are whole."""
    from emoprune.cli import output
    from emoprune.errors import ResourcesUnavailable, RunCorrupt

    if run is None:
        from emoprune.doctor.environment import check_environment

        if repair:
            raise typer.BadParameter("--repair needs a run to repair; name one")
        failed = output.checks(check_environment(runs, address), as_json=as_json)
        code = ResourcesUnavailable.exit_code
    else:
        from emoprune.doctor.run_files import check_run
        from emoprune.run import find_run

        folder = find_run(run, runs)
        failed = output.checks(check_run(folder), as_json=as_json, name=folder.name)
        code = RunCorrupt.exit_code
        if repair:
            from emoprune.doctor.repairing import repair as copied

            copy = copied(folder)
            output.repaired(copy.folder, copy.left_out, as_json=as_json)
            return
    if failed:
        raise typer.Exit(code)
