"""Images of pixels."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.pictures.svg import Panel, element

__all__ = ["image"]


def image(title: str, pixels: NDArray[np.floating], scale: int = 3, below: str = "") -> Panel:
    """Return an image enlarged `scale` times, each pixel a square.

    Args:
        title: What is seen.
        pixels: From 0 (black) to 1, shape (rows, columns) or (rows, columns, 3); what is beyond is clipped.
        scale: Pixels across of each.
        below: Words below it.
    """
    from PIL import Image

    eight = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(eight).save(buffer, "PNG", optimize=True)
    height, width = (scale * size for size in pixels.shape[:2])
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    drawn = element("image", href=source, width=width, height=height, style="image-rendering:pixelated")
    return Panel(title, width, height, [drawn], below)
