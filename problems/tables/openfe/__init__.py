"""OpenFE: new features found by what they add to a model that has all columns, in two stages of pruning.

Source: Zhang, Zhang, Fan, Luo, Liu, Liu, Cao, Jian, OpenFE: Automated Feature Generation with Expert-level Performance,
arXiv:2211.12507.
"""

from __future__ import annotations

from emoprune.contracts import Paper

__all__ = ["OPENFE"]

OPENFE = Paper("OpenFE: Automated Feature Generation with Expert-level Performance", "2211.12507")
