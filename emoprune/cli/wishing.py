"""The words by which one candidate is meant, for every command that takes one: options made once, added to each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from emoprune.commands.wishes import Wishes
    from emoprune.run import Run

__all__ = ["meant", "with_wishes"]

PANEL = "Which candidate"


def _option(*names: str, help: str, **more: Any) -> Any:  # noqa: A002  # typer's own word
    return typer.Option(*names, help=help, rich_help_panel=PANEL, **more)


OPTIONS: dict[str, tuple[Any, Any]] = {
    "where": (
        Annotated[
            list[str] | None,
            _option(
                "--where",
                metavar="COND",
                help="What it must keep, as in 'error<0.03', or 'macs<=50%' of the unpruned's; repeatable.",
            ),
        ],
        None,
    ),
    "at_most_worse": (
        Annotated[
            str,
            _option(
                "--at-most-worse", metavar="X", help="How much worse the first objective may be, as in 0.01 or 2%."
            ),
        ],
        "",
    ),
    "reference": (
        Annotated[str, _option("--reference", metavar="NAME", help="Beside which reference; else the unpruned.")],
        "",
    ),
    "least": (Annotated[str, _option("--min", metavar="NAME", help="The one with the least of an objective.")], ""),
    "most": (Annotated[str, _option("--max", metavar="NAME", help="The one with the most of an objective.")], ""),
    "weights": (
        Annotated[str, _option("--weights", metavar="W", help="By weights of objectives, as in error=.7,macs=.3.")],
        "",
    ),
    "knee": (Annotated[bool, _option("--knee", help="The knee of those that keep all conditions.")], False),
    "best": (Annotated[bool, _option("--best", help="The cheapest not shown to be worse than the best one.")], False),
}


def with_wishes(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the options, and gives the function what they say as `wishes`."""

    def wished(**given: Any) -> None:
        from emoprune.commands.wishes import Wishes

        words = {name: given.pop(name) for name in OPTIONS}
        marks = [mark for mark in ("knee", "best") if words.pop(mark)]
        if len(marks) > 1:
            raise typer.BadParameter("expected --knee or --best, found both; leave one out")
        wishes = Wishes.of(words.pop("where") or (), **words, marked="".join(marks))
        command(**given, wishes=wishes)

    # Its own type is not imported before a command runs, because that takes as long as the help itself.
    own = inspect.signature(command, eval_str=True, globals=command.__globals__, locals={"Wishes": object})
    kept = [each for each in own.parameters.values() if each.name != "wishes"]
    kinds = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, kinds, default=default, annotation=annotation)
        for name, (annotation, default) in OPTIONS.items()
    ]
    wished.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]  # typer reads it
    wished.__annotations__ = {each.name: each.annotation for each in (*kept, *added)}
    wished.__name__, wished.__doc__ = command.__name__, command.__doc__
    return wished


def meant(run: Run, candidate: str | None, wishes: Wishes) -> str:
    """Return the candidate's word as it was given, or the number of the one that the wishes mean."""
    from emoprune.commands.selection import select

    if candidate is not None and wishes.any:
        raise typer.BadParameter(f"expected CANDIDATE or wishes such as --min, found both; leave {candidate!r} out")
    if candidate is not None:
        return candidate
    if not wishes.any:
        raise typer.BadParameter("expected CANDIDATE, a number, 'knee' or 'best', or wishes such as --where and --min")
    return str(select(run, wishes).candidate)
