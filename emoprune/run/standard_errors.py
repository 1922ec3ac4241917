"""How far a score may be from what it would be on other examples of its kind: standard errors of means over blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from emoprune.contracts import Blocks
from emoprune.records import Evaluation, Split
from emoprune.run.contents import ERROR

__all__ = ["error_columns"]


def error_columns(
    evaluations: Sequence[Evaluation | None], split: Split, prefix: str, names: Sequence[str], blocks: Blocks | None
) -> pd.DataFrame:
    """Return the standard error of each named value that varies from block to block; NaN where nothing was measured.

    Args:
        evaluations: Of one part of the data, None where there is none.
        split: The part.
        prefix: Of the columns that hold the values.
        names: Of the values.
        blocks: The problem's; there are no columns if it has none.
    """
    varying = [] if blocks is None else [name for name in names if name in blocks.noisy]
    columns = {
        prefix + name + ERROR: [np.nan if each is None else _error(each, split, name, blocks) for each in evaluations]
        for name in varying
        if blocks is not None
    }
    return pd.DataFrame(columns, index=range(len(evaluations)), dtype=np.float64)


def _error(evaluation: Evaluation, split: Split, name: str, blocks: Blocks) -> float:
    measured = evaluation.blocks.get(name, ()) if evaluation.ok else ()
    return blocks.value_error(name, split, np.array(measured)) if measured else float("nan")
