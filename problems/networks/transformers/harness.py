"""A score on tasks of EleutherAI's lm-evaluation-harness as an objective: measured as it will be reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from emoprune.contracts import Direction, about
from emoprune.errors import ConfigError
from emoprune.problems.language.quiet import quiet
from emoprune.problems.networks.evaluation.objectives.contract import Needs
from emoprune.problems.networks.transformers.measures import SeenTransformer
from emoprune.problems.storage.located import located

__all__ = ["LmEval"]

INSTALL = "pip install 'emoprune[lm-eval]'"
PARTS = ("search", "select", "test")  # each gets a third of a task's documents


@about(
    "measurement",
    ["network"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="the tasks' requests, each candidate anew",
)
class LmEval:
    """Mean score of a causal language model on tasks of the lm-evaluation-harness.

    A task's documents are dealt out to search, select and test, so that none chooses and is reported.

    Args:
        tasks: By the harness' names for them.
        folder: Where tasks of your own lie, described in YAML as the harness has it; found from here or beside the
            config.
        metric: Of those that the tasks report.
        higher_is_better: Which way that is.
        examples: How many documents of each task a part has at most.
        batch: Requests at a time.

    Raises:
        ConfigError: The harness is not installed, there is no such folder or task, or a number is too small.
    """

    unit = ""
    needs: ClassVar[Needs] = "network"
    quality: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str] = (),
        folder: str | None = None,
        metric: str = "acc",
        *,
        higher_is_better: bool = True,
        examples: int = 100,
        batch: int = 8,
    ) -> None:
        if find_spec("lm_eval") is None:
            raise ConfigError(f"objectives: lm-eval needs the lm-evaluation-harness, which is not installed; {INSTALL}")
        if isinstance(tasks, str) or not tasks:
            raise ConfigError(f"objectives: lm-eval: tasks: expected a list of the harness' names, found {tasks!r}")
        if min(examples, batch) < 1:
            raise ConfigError(
                f"objectives: lm-eval: expected examples and batch of 1 or more, found {examples}, {batch}"
            )
        place = None if folder is None else located(folder)
        if folder is not None and (place is None or not place.is_dir()):
            raise ConfigError(f"objectives: lm-eval: there is no folder {folder!r} here or beside the config")
        self.direction = Direction.MAXIMISE if higher_is_better else Direction.MINIMISE
        self.tasks, self.metric, self.examples, self.batch = tuple(tasks), metric, examples, batch
        self._folder = None if place is None else str(place.resolve())
        known = _manager(self._folder).all_tasks
        unknown = [name for name in tasks if name not in known]
        if unknown:
            raise ConfigError(
                f"objectives: lm-eval: the harness has no task {', '.join(map(repr, unknown))}; `lm-eval ls tasks` "
                "lists its own, and `folder` holds yours"
            )

    def __call__(self, seen: SeenTransformer) -> float:
        """Return the mean of the tasks' scores on the documents of the part.

        Raises:
            ConfigError: A task has too few documents, or does not report the metric.
        """
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        manager, chosen = _manager(self._folder), {}
        for name in self.tasks:
            documents = _documents(self._folder, name)
            chosen[name] = _dealt(documents, self.examples, name)[seen.part]
        with quiet():
            model = HFLM(pretrained=seen.network, tokenizer=seen.tokenizer, backend="causal", batch_size=self.batch)
            found = simple_evaluate(
                model,
                tasks=list(self.tasks),
                task_manager=manager,
                samples=chosen,
                bootstrap_iters=0,
                log_samples=False,
                random_seed=None,  # nor may others' generators be set anew
                numpy_random_seed=None,
                torch_random_seed=None,
            )
        return float(np.mean([self._score(found["results"][name], name) for name in self.tasks]))

    def _score(self, reported: Mapping[str, Any], name: str) -> float:
        scores = [own for key, own in reported.items() if key.partition(",")[0] == self.metric]
        if not scores:
            known = sorted({key.partition(",")[0] for key in reported if "," in key and "stderr" not in key})
            raise ConfigError(
                f"objectives: lm-eval: metric: task {name!r} reports {', '.join(known)}, not {self.metric!r}"
            )
        return float(scores[0])


@cache
def _manager(folder: str | None) -> Any:
    """Return what finds tasks, which takes seconds to read them all."""
    from lm_eval.tasks import TaskManager

    with quiet():
        return TaskManager(include_path=folder)


@cache
def _documents(folder: str | None, name: str) -> int:
    """Return how many documents a task has to evaluate.

    Raises:
        ConfigError: It is a group of several tasks.
    """
    with quiet():
        found = _manager(folder).load([name])["tasks"]
    if list(found) != [name]:
        raise ConfigError(
            f"objectives: lm-eval: {name!r} is a group of {len(found)} tasks; name those that you mean: "
            f"{', '.join(list(found)[:5])}"
        )
    return len(found[name].eval_docs)


def _dealt(documents: int, most: int, name: str) -> dict[str, list[int]]:
    """Return the numbers of the documents of each part, always the same ones.

    Raises:
        ConfigError: A part would have none.
    """
    if documents < len(PARTS):
        raise ConfigError(
            f"objectives: lm-eval: task {name!r} has {documents} documents, expected at least {len(PARTS)}, which are "
            "dealt out to search, select and test"
        )
    order = np.random.default_rng(0).permutation(documents)
    pieces = zip(PARTS, np.array_split(order, len(PARTS)), strict=True)
    return {part: sorted(own[:most].tolist()) for part, own in pieces}
