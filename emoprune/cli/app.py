"""The command line's frame: its options before a command, its exit codes, and the commands in their order."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from emoprune.cli import installation, results, searches, watch

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


for command in (
    searches.run,
    searches.resume,
    results.status,
    watch.watch,
    results.pareto,
    results.select,
    results.compare,
    results.export,
    searches.groups,
    results.audit,
    results.recover,
    installation.doctor,
    results.report,
):
    app.command()(command)
app.command("export-study")(results.export_study)
app.command("list")(installation.list_)
app.command()(installation.init)
