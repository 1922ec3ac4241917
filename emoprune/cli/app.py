"""The command line: it parses and prints, and decides nothing; each command imports what is heavy by itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from emoprune.cli.arguments import (
    AddressOption,
    Backend,
    BackendOption,
    CandidateArgument,
    ConfigArgument,
    Device,
    DeviceOption,
    EpochsOption,
    FormatsOption,
    JsonOption,
    Kind,
    OwnSetOption,
    RunArgument,
    RunsOption,
    SetOption,
    TrustOption,
    WorkersOption,
    own_options,
)
from emoprune.errors import ConfigError

if TYPE_CHECKING:
    from emoprune.loop.search import Search
    from emoprune.run import Run

__all__ = ["NOBODY_READS", "app"]

NOBODY_READS = 141  # 128 + SIGPIPE, as a shell would say

EPILOG = """
\b
Exit codes:
  0    ok
  1    internal error, or a plug-in that breaks its promise
  2    wrong usage or config
  3    run not found or damaged
  4    run locked by another process
  5    evaluations failed
  6    resources not available
  7    disk full, read-only or gone
  8    refused for safety
  129  the terminal was closed
  130  interrupted (Ctrl-C)
  141  nobody reads the output
  143  terminated

Results go to standard output, progress and errors to standard error.
"""


class _Commands(TyperGroup):
    """The commands; `--debug` may stand anywhere, and a reader who leaves ends them quietly."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--debug" in args:
            args = ["--debug", *(word for word in args if word != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise typer.Exit(NOBODY_READS) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Evolutionary multi-objective search for pruning.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from emoprune import __version__

        typer.echo(f"emoprune {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Take the options that stand before a command; both act elsewhere."""


@app.command()
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


@app.command()
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

    words = _overrides(overrides, workers, address, backend)
    _follow(resumed(_opened(run, runs), overrides=words, trust_code=trust_code), as_json=as_json)


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


def _opened(run: str, runs: Path) -> Run:
    from emoprune.run import find_run, open_run

    return open_run(find_run(run, runs))


@app.command()
def status(run: RunArgument = "latest", *, runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Show where a run stands."""
    from emoprune.cli import output

    output.status(_opened(run, runs), as_json=as_json)


@app.command()
def pareto(
    run: RunArgument = "latest",
    *,
    runs: RunsOption = Path("runs"),
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV; the columns are those of pareto.csv.")] = False,
    generation: Annotated[
        int | None, typer.Option(min=0, metavar="G", help="Show the front as it was after generation G.")
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Also show what each candidate keeps, and all of them.")] = False,
) -> None:
    """Show the front and the references."""
    from emoprune.cli import output

    if as_json and as_csv:
        raise typer.BadParameter("expected --json or --csv, found both; leave one out")
    opened = _opened(run, runs)
    then = opened if generation is None else output.RunThen(opened.path, generation)
    if as_json:
        output.front_json(then, wide=wide)
    elif as_csv:
        output.front_csv(then, wide=wide)
    else:
        output.front_table(then, wide=wide)


@app.command()
def export(
    run: RunArgument,
    candidate: CandidateArgument,
    *,
    formats: FormatsOption = None,
    verify: Annotated[bool, typer.Option(help="Load again what was written, and compare.")] = True,
    runs: RunsOption = Path("runs"),
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a candidate's pruned thing, verified, to disk."""
    from emoprune.cli import output
    from emoprune.commands.export import export as exported

    opened = _opened(run, runs)
    folder, said = exported(opened, candidate, formats=formats or (), verify=verify, trust_code=trust_code)
    written = {"run": opened.name, "candidate": candidate, "path": str(folder)}
    output.show("export", {**written, "verified" if verify else "not_verified": said}, as_json=as_json)


@app.command()
def groups(config: ConfigArgument, *, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Show what can be pruned and how far, before any search."""
    from emoprune.cli import output
    from emoprune.commands.inspection import inspect
    from emoprune.config import load

    output.inspection(inspect(load(config, overrides or ())), as_json=as_json)


@app.command()
def audit(
    run: RunArgument = "latest",
    *,
    candidates: Annotated[
        int, typer.Option(min=3, metavar="N", help="How many members of the front, its ends and knee among them.")
    ] = 8,
    epochs: EpochsOption = None,
    overrides: OwnSetOption = None,
    device: DeviceOption = Device.CPU,
    runs: RunsOption = Path("runs"),
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check whether a run's front can be believed."""
    from emoprune.cli import output
    from emoprune.cli.follow import notes_on
    from emoprune.commands.audit import audit as audited

    opened = _opened(run, runs)
    with notes_on():
        found = audited(
            opened,
            candidates=candidates,
            options=own_options(overrides, epochs),
            device=device.value,
            trust_code=trust_code,
        )
    output.audit(opened, found, as_json=as_json)


@app.command()
def recover(
    run: RunArgument,
    candidate: CandidateArgument,
    *,
    epochs: EpochsOption = None,
    formats: FormatsOption = None,
    overrides: OwnSetOption = None,
    device: DeviceOption = Device.CPU,
    runs: RunsOption = Path("runs"),
    trust_code: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Win back what pruning cost a candidate, and measure it again."""
    from emoprune.cli import output
    from emoprune.cli.follow import notes_on
    from emoprune.commands.recovery import recover as recovered

    opened = _opened(run, runs)
    options = own_options(overrides, epochs, formats)
    with notes_on():
        found = recovered(opened, candidate, options=options, device=device.value, trust_code=trust_code)
    output.recovery(opened, found, as_json=as_json)


@app.command()
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


@app.command()
def report(run: RunArgument = "latest", *, runs: RunsOption = Path("runs"), as_json: JsonOption = False) -> None:
    """Write report.html, one file for offline reading."""
    from emoprune.cli import output
    from emoprune.report.page import write_page

    opened = _opened(run, runs)
    path = write_page(opened, opened.path / "report.html")
    if as_json:
        output.write_object("report", {"run": opened.name, "path": str(path)})
    else:
        typer.echo(output.printable(str(path)))


@app.command("list")
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
    markdown: Annotated[bool, typer.Option("--markdown", help="Methods as a page of tables.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List problems, methods, operators, examples and runs."""
    from emoprune.cli import output
    from emoprune.commands import catalogue, methods

    if kind is not Kind.METHODS and (tuning_free or serves or paper or markdown):
        raise ConfigError("--tuning-free, --serves, --paper and --markdown choose among methods: emoprune list methods")
    if kind is Kind.METHODS and markdown:
        typer.echo(methods.page(), nl=False)
        return
    wanted = methods.Wanted(tuning_free=tuning_free, serves=serves, paper=paper)
    if kind is Kind.METHODS and not as_json:
        output.menu(methods.menu(wanted))
        return
    if kind is Kind.METHODS:
        found = methods.plain(wanted)
    else:
        found = catalogue.overview(runs) if kind is None else catalogue.details(kind.value, runs)
    output.show("list", found, as_json=as_json)


@app.command()
def init(
    example: Annotated[str, typer.Argument(help="The name of an example; `emoprune list examples` shows them.")],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to; by default EXAMPLE.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write an example's config to start from."""
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
