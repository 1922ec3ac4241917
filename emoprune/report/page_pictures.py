"""Drawings of candidates as the page shows them: images that can run nothing and fetch nothing."""

from __future__ import annotations

import base64

from emoprune.report.ranking import Entry, Ranking
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import plain, with_unit

__all__ = ["pictures_shown"]


def pictures_shown(run: ReadableRun, ranking: Ranking) -> list[dict[str, str]]:
    """Return title, caption, numbers and source of each drawing: the unpruned first, then the best first."""
    drawn = run.pictures
    unpruned = [] if ranking.unpruned is None else [ranking.unpruned]
    others = [entry for entry in (*ranking.choice, *ranking.references) if entry is not ranking.unpruned]
    return [
        {
            "title": _title(entry, ranking),
            "caption": plain(drawn[entry.id].caption, 400),
            "numbers": _numbers(entry, ranking),
            # In an image's source an SVG is inert: no script of it runs, and it loads nothing.
            "source": "data:image/svg+xml;base64," + base64.b64encode(drawn[entry.id].svg.encode()).decode(),
        }
        for entry in dict.fromkeys([*unpruned, *others])
        if entry.id in drawn
    ]


def _title(entry: Entry, ranking: Ranking) -> str:
    notes = "".join(f", {note}" for note in ranking.notes(entry))
    return f"candidate {entry.id}{notes}"


def _numbers(entry: Entry, ranking: Ranking) -> str:
    pairs = zip(ranking.objectives, ranking.values(entry).tolist(), strict=True)
    return ", ".join(f"{each.name} {with_unit(value, each.unit)}" for each, value in pairs)
