"""What it is worth to leave out keys and tokens: candidates per second, representatives, fronts beside settings.

python benchmarks/inference.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread, digits

import emoprune
from emoprune.front import hypervolume
from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.inference import sample
from emoprune.problems.networks.transformers.inference.kv_cache.problem import KvCache
from emoprune.problems.networks.transformers.inference.standalone import token_selectors
from emoprune.problems.networks.transformers.inference.standalone.dropping import patched
from emoprune.problems.networks.transformers.inference.standalone.evicting import EvictingCache, cache_argument
from emoprune.problems.networks.transformers.inference.tokens.problem import Tokens
from emoprune.records import Split
from emoprune.space import IntArray

SEEDS = (1, 2, 3)
NO_SEEDS = np.zeros(1, dtype=np.uint64)
WHOLE, REPLAYED = "whole forward pass under the policy", "emoprune, replayed"

NOTES = """\
- Speed: processor seconds on one thread for the same policies on the search part, {rounds} rounds in turns. The whole
  pass reads each text, or runs each image from its first layer, with the code that is exported. What is recorded once
  per run is not counted: {recorded} for the cache.
- Representatives: {texts} texts of {context} tokens read and {continued} that follow, {asked} questions; budgets of
  {percent} % of the context in every layer, the same in both. The interval is Student's of the paired differences of
  the texts.
- Fronts: {evaluations} evaluations of NSGA-II for each of seeds 1, 2 and 3. Hypervolume on the test part, of errors or
  losses and costs scaled by the unpruned model's cost and by what the worst reference loses, up to 1.1 in both.
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    quick: bool
    population: int
    generations: int
    texts: int
    context: int
    continued: int
    questions: int

    def cache(self, **more: Any) -> KvCache:
        """Return the pruning of a cache."""
        if self.quick:
            return sample.kv_cache(representatives=(0.0, 0.25), references=("uniform", "kvcrush", "random"), **more)
        return KvCache(
            **{
                "context": self.context,
                "continued": self.continued,
                "search": 4,
                "select": 4,
                "test": self.texts,
                "pass_keys": self.questions,
                "budgets": (0.1, 0.15, 0.25, 0.4, 0.6),
                "representatives": (0.0, 0.25),
                **more,
            }
        )

    def tokens(self) -> Tokens:
        """Return the pruning of tokens."""
        return sample.tokens(references=("uniform", "random")) if self.quick else Tokens()


def ready(problem: Any, folder: str) -> Any:
    """Return a problem that can measure."""
    problem.prepare(Path(folder), 1)
    problem.setup("cpu", 1)
    return problem


def seconds(call: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    begun = time.process_time()
    with torch.inference_mode():
        call()
    return time.process_time() - begun


def whole_pass_of_texts(problem: KvCache, genomes: Sequence[IntArray]) -> None:
    """Read every text anew, and let what follows keep to each policy."""
    name = cache_argument(problem.model)
    for genome in genomes:
        for batch in problem._parts["search"]:  # noqa: SLF001  # what the problem measures on
            cache = EvictingCache(problem._layout.policy(genome), problem.model.config)  # noqa: SLF001  # as above
            for ids in (batch.read, batch.following[:, :-1]):
                problem.model(input_ids=ids, use_cache=True, logits_to_keep=len(ids[0]), **{name: cache})


def whole_pass_of_images(problem: Tokens, model: Any, genomes: Sequence[IntArray]) -> None:
    """Run every image from the first layer on, under each policy."""
    for genome in genomes:
        model.dropping.policy = problem._layout.policy(genome)  # noqa: SLF001  # what the problem measures
        for batch in problem.open().task.parts["search"]:
            first_output(model(**batch.inputs))


def speed_rows(name: str, rounds: int, count: int, ways: Mapping[str, Callable[[], object]]) -> list[list[str]]:
    """Return candidates per second of each way, and how many times as many as the first."""
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, call in ways.items():
            found[way].append(count / seconds(call))
    first = next(iter(found.values()))
    return [[name, way, str(Spread.of(rates)), str(Spread.of_ratios(rates, first))] for way, rates in found.items()]


def speed_of_caches(sizes: Sizes, rounds: int) -> tuple[list[list[str]], float]:
    """Return rows, and the seconds that recording took."""
    with tempfile.TemporaryDirectory() as folder:
        problem = sizes.cache(test=2)
        recorded = seconds(lambda: problem.prepare(Path(folder), 1))
        problem.setup("cpu", 1)
        genomes = [own.genome for own in problem.references()[1:4]]
        for genome in genomes:  # so that records are open
            problem.evaluate(genome[np.newaxis], NO_SEEDS, Split.SEARCH)
        ways: dict[str, Callable[[], object]] = {
            WHOLE: partial(whole_pass_of_texts, problem, genomes),
            REPLAYED: lambda: problem.evaluate(np.array(genomes), NO_SEEDS, Split.SEARCH),
        }
        return speed_rows("kv-cache", rounds, len(genomes), ways), recorded


def speed_of_tokens(sizes: Sizes, rounds: int) -> list[list[str]]:
    """Return rows."""
    with tempfile.TemporaryDirectory() as folder:
        problem = ready(sizes.tokens(), folder)
        own, genomes = problem.open(), [each.genome for each in problem.references()[1:7]]
        import transformers

        factory = getattr(transformers, str(own.task.about["factory"]))
        fresh = factory.from_pretrained(own.loaded.source.name).eval()
        model = patched(fresh, problem._layout.policy(genomes[0]), own.anatomy.path, token_selectors)  # noqa: SLF001
        problem.evaluate(np.array(genomes), NO_SEEDS, Split.SEARCH)  # what neighbours of a search have made
        ways: dict[str, Callable[[], object]] = {
            WHOLE: partial(whole_pass_of_images, problem, model, genomes),
            REPLAYED: lambda: problem.evaluate(np.array(genomes), NO_SEEDS, Split.SEARCH),
        }
        return speed_rows("tokens", rounds, len(genomes), ways)


def representatives(sizes: Sizes, percent: float) -> list[list[str]]:
    """Return the loss of policies on each text, beside heavy hitters alone at the same budget."""
    with tempfile.TemporaryDirectory() as folder:
        problem: KvCache = ready(sizes.cache(), folder)
        layout = problem._layout  # noqa: SLF001  # to name policies
        policies = {
            "unpruned": problem.space.full,
            "h2o": layout.genome([percent / 100] * layout.layers, "h2o"),
            "h2o, a quarter for representatives": layout.genome([percent / 100] * layout.layers, "h2o", 0.25),
            "sinks and window": layout.genome([percent / 100] * layout.layers, "sinks-and-window"),
        }
        found, rows = {name: losses_by_text(problem, genome) for name, genome in policies.items()}, []
        for name, (losses, missed) in found.items():
            apart = losses - found["h2o"][0]
            half = float(stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart)))
            beside = "" if name == "h2o" else f"{apart.mean():+.3f} ± {half:.3f}"
            rows.append([name, f"{np.exp(losses.mean()):.2f}", beside, "" if missed is None else f"{missed:.0%}"])
    return rows


def losses_by_text(problem: KvCache, genome: IntArray) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float | None]:
    """Return the mean loss of each test text, and the share of questions that are missed."""
    with torch.inference_mode():
        found = problem._followed(genome, Split.TEST)  # noqa: SLF001  # text by text
    batches = problem._parts["test"]  # noqa: SLF001  # as above
    pairs = list(zip(found, batches, strict=True))
    losses = np.concatenate([own.losses.mean(axis=1) for (_, own), batch in pairs if not batch.question])
    right = [own.right.all(axis=1) for (_, own), batch in pairs if batch.question]
    return losses, 1 - float(np.concatenate(right).mean()) if right else None


def front_rows(name: str, make: Callable[[], Any], sizes: Sizes) -> list[list[str]]:
    """Return the hypervolume of fronts on the test part, beside groups of references."""
    volumes: dict[str, list[float]] = {}
    for seed in SEEDS:
        config = {
            "search": {"population": sizes.population, "generations": sizes.generations, "seed": seed},
            "evaluation": {"backend": "serial"},
        }
        with tempfile.TemporaryDirectory() as place:
            problem = make()
            for _ in emoprune.search(config, problem=problem, name="searched", runs=place):
                pass
            table = emoprune.open_run(Path(place) / "searched").pareto
        columns = [f"test.{objective.name}" for objective in problem.objectives]
        values, names = table[columns].to_numpy(dtype=float), table["name"].fillna("").astype(str).to_numpy()
        whole = values[names == "unpruned"][0]
        worst = max(values[names != ""][:, 0].max() - whole[0], 1e-9)
        scaled = np.column_stack([(values[:, 0] - whole[0]) / worst, values[:, 1] / whole[1]])
        groups = {
            "emoprune, front": table["rank"].to_numpy() == 1,
            "each paper's own setting": np.array(
                [each not in ("", "unpruned") and "random" not in each for each in names]
            ),
            "random": np.array([each.startswith("random") for each in names]),
        }
        for group, rows in groups.items():
            volumes.setdefault(group, []).append(hypervolume(scaled[rows], np.array([1.1, 1.1])))
    return [[name, group, str(Spread.of(found))] for group, found in volumes.items()]


def report(sizes: Sizes, rounds: int) -> Report:
    """Measure everything."""
    percent = 25.0
    caches, recorded = speed_of_caches(sizes, rounds)
    speed = Table(
        "Policies measured on the search part", ["problem", "way", "candidates/s", "times"],
        [*caches, *speed_of_tokens(sizes, rounds)],
    )  # fmt: skip
    told = Table(
        f"Keys and values of {percent:g} % of the context, SmolLM2-135M-Instruct"
        if not sizes.quick
        else "Keys and values",
        ["policy", "perplexity", "loss beside h2o, nats", "questions missed"],
        representatives(sizes, percent),
    )
    objectives = {} if sizes.quick else {"objectives": ["loss", "cache-bytes"], "pass_keys": 0, "test": 16}
    fronts = Table(
        "Fronts on the test part", ["problem", "policies", "hypervolume"],
        [
            *front_rows("kv-cache", lambda: sizes.cache(**objectives), sizes),
            *front_rows("tokens", sizes.tokens, sizes),
        ],
    )  # fmt: skip
    notes = NOTES.format(
        rounds=rounds,
        recorded=f"{digits(recorded)} seconds",
        texts=sizes.texts,
        context=sizes.context,
        continued=sizes.continued,
        asked=sizes.questions,
        percent=f"{percent:g}",
        evaluations=sizes.population * sizes.generations,
    )
    return Report("What is computed at inference", [speed, told, fronts], notes, ["emoprune", "torch", "transformers"])


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    chosen = arguments(__doc__ or "", 3).parse_args(given)
    torch.set_num_threads(1)
    sizes = Sizes(True, 4, 2, 3, 32, 8, 1) if chosen.quick else Sizes(False, 8, 4, 50, 256, 32, 6)
    publish(report(sizes, 1 if chosen.quick else chosen.rounds), chosen)


if __name__ == "__main__":
    main()
