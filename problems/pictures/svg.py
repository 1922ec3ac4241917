"""What every drawing is made of: a document with panels side by side, each with a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["COLOURS", "Panel", "document", "element", "words"]

COLOURS = ("#0b6bcb", "#c2410c", "#15803d", "#7c3aed", "#64748b")
GAP, TITLE, FOOT = 16, 22, 20  # pixels beside, above and below a panel


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing: its title, its size in pixels, the SVG elements in it, and the words below it."""

    title: str
    width: int
    height: int
    elements: Sequence[str]
    below: str = ""


def document(panels: Sequence[Panel]) -> str:
    """Return panels side by side as one SVG document."""
    parts, left = [], GAP
    for panel in panels:
        drawn = [words(0, -8, panel.title, bold=True), *panel.elements, words(0, panel.height + 14, panel.below)]
        parts.append(f'<g transform="translate({left},{TITLE + GAP // 2})">{"".join(drawn)}</g>')
        left += panel.width + GAP
    height = TITLE + GAP // 2 + max(panel.height for panel in panels) + FOOT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left}" height="{height}" viewBox="0 0 {left} {height}" '
        f'font-family="sans-serif" font-size="11" fill="#1f2933">{"".join(parts)}</svg>'
    )


def element(name: str, **members: str | float) -> str:
    """Return an element without children; `_` in a member's name stands for `-`."""
    written = "".join(f' {key.replace("_", "-")}="{_written(value)}"' for key, value in members.items())
    return f"<{name}{written}/>"


def words(x: float, y: float, text: str, *, bold: bool = False) -> str:
    """Return a line of text; nothing of it can be markup."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{_written(x)}" y="{_written(y)}"{weight}>{escape(text)}</text>' if text else ""


def _written(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
