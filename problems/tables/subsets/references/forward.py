"""Sequential forward selection: add, one at a time, the column or new feature that helps most."""

from __future__ import annotations

from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, Subset

__all__ = ["forward", "forward_new"]

MOST = 6  # columns that are added
TRIED = 30  # to choose from: the columns with the most mutual information, the new features that come first


def forward(inputs: ReferenceInputs) -> list[Subset]:
    """Return the subsets of two, four and six columns on the way, judged on the first fold."""
    columns = [inputs.columns[place] for place in inputs.most_informative[:TRIED].tolist()]
    return _grown(inputs, columns, "forward")


def forward_new(inputs: ReferenceInputs) -> list[Subset]:
    """Do the same with new features to choose from as well, the most important ones; nothing if there are none."""
    if not inputs.survivors:
        return []
    columns = [inputs.columns[place] for place in inputs.most_informative[: TRIED // 2].tolist()]
    return _grown(inputs, [*columns, *inputs.survivors[: TRIED // 2]], "forward-new")


def _grown(inputs: ReferenceInputs, choice: list[Term], name: str) -> list[Subset]:
    open_ones, chosen = list(choice), list[Term]()
    found: list[Subset] = []
    while open_ones and len(chosen) < MOST:
        losses = [_loss(inputs, [*chosen, term]) for term in open_ones]
        chosen.append(open_ones.pop(losses.index(min(losses))))
        if len(chosen) in (2, 4, 6) and len(choice) > len(chosen):
            found.append((f"{name}-{len(chosen)}", tuple(chosen)))
    return found


def _loss(inputs: ReferenceInputs, terms: list[Term]) -> float:
    block, computed = inputs.task.parts.folds[0], inputs.loaded.computed
    model = inputs.loaded.learner.fitted(computed, block, terms, inputs.seed)
    predictions = model.predict(computed.matrix(terms, block, block.scored))
    return inputs.task.measures.metric.loss(inputs.task.table.target[block.scored], predictions)
