"""Files that are there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_json"]


def write_json(path: Path, plain: Mapping[str, Any]) -> None:
    """Write plain data as JSON."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
