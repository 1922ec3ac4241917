"""Pruning a model of the zoo and writing it into a folder, beside what a masked copy of the unpruned one puts out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from emoprune.errors import ConfigError
from emoprune.problems.language.sample import saved, text, tokenizer
from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.anatomy.masking import masked
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from shared.zoo_models import Kept
from shared.zoo_writing import written

__all__ = ["Exported", "complaint_of", "exported", "write_data"]

TOKENS = 12
PARTS = dict.fromkeys(("calibration", "search", "select", "test"), 6)
TASKS = {"language": "language-modelling", "sentences": "text-classification", "images": "image-classification"}


@dataclass(frozen=True, slots=True)
class Exported:
    """The folders of a model's pruned forms, what its config calls itself, and the share of parameters left in each."""

    folders: tuple[Path, ...]
    model_type: str
    left: tuple[float, ...]


def write_data(place: Path) -> dict[str, str]:
    """Write a text and sentences with labels; return by kind of model the name of its data."""
    words, rows = place / "words.txt", place / "rows.tsv"
    words.write_text(text(2000), encoding="utf-8")
    lines = [f"{text(4 + row % 6, seed=row)}\t{('no', 'yes')[row % 2]}" for row in range(120)]
    rows.write_text("\n".join(["sentence\tlabel", *lines]), encoding="utf-8")
    return {"language": str(words), "sentences": str(rows), "images": "digits"}


def problem_of(own: Kept, data: Mapping[str, str], place: Path) -> HeadsAndNeurons:
    """Return the problem of pruning a model of the zoo.

    Raises:
        ConfigError: It cannot be pruned.
    """
    saved(place / "model", own.made(), with_tokenizer=False)
    if own.kind != "images":
        write_tokenizer(place / "model", framed=own.kind == "sentences")
    options: dict[str, Any] = {"model": str(place / "model"), "data": data[own.kind], "task": TASKS[own.kind]}
    return HeadsAndNeurons(**options, length=TOKENS, **PARTS, levels=4, references=[], repair="none")


def write_tokenizer(folder: Path, *, framed: bool) -> None:
    """Write a tokenizer of words, which puts a sentence between a first and a last token if it is `framed`."""
    from tokenizers.processors import TemplateProcessing

    own = tokenizer()
    if framed:
        frame = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
        own.backend_tokenizer.post_processor = frame
    own.save_pretrained(folder)


def exported(own: Kept, data: Mapping[str, str], place: Path) -> Exported | str:
    """Prune a model and write its forms; return what went wrong if something did."""
    try:
        problem = problem_of(own, data, place)
        problem.prepare(place / "run", 1)
        problem.setup("cpu", 1)
        genomes = [pruned_genome(problem), *genomes_less_a_layer(problem)]
        folders = tuple(place / str(number) / "pruned" for number in range(len(genomes)))
        for genome, folder in zip(genomes, folders, strict=True):
            problem.export_as(genome, folder, problem.formats[:1], verify=False)
            expected(problem, genome, own, folder)
        left = [float(problem.describe(genome)["parameters share"]) for genome in genomes]
        return Exported(folders, problem.open().loaded.source.model_type, tuple(left))
    except Exception as error:  # a table of what works has a line for what does not
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def pruned_genome(problem: HeadsAndNeurons) -> Any:
    """Return a genome that keeps other counts in every layer, and no heads in the first of several."""
    genome = problem.space.full.copy()
    names = [gene.name for gene in problem.space.genes]
    several = sum(name.endswith(".heads") for name in names) > 1
    for place, name in enumerate(names):
        number, _, what = name.partition(".")
        if what == "heads":
            genome[place] = 0 if number == "0" and several else problem.space.levels[place] - 2
        elif what == "neurons":
            genome[place] = 2 - int(number) % 2
    return genome


def genomes_less_a_layer(problem: HeadsAndNeurons) -> list[Any]:
    """Return the genome without the first layer and with all of the others, if there are others."""
    names = [gene.name for gene in problem.space.genes]
    if "1.layer" not in names:
        return []
    genome = problem.space.full.copy()
    genome[names.index("0.layer")] = 0
    return [genome]


def expected(problem: HeadsAndNeurons, genome: Any, own: Kept, folder: Path) -> None:
    """Write beside a folder what the masked unpruned model puts out, and the text that it writes without a cache."""
    opened, plans = problem.open(), problem.plans(genome)
    model = opened.task.model
    inputs = {name: tensor[:2].clone() for name, tensor in opened.task.parts["test"][0].inputs.items()}
    with torch.no_grad(), masked(model, opened.anatomy, plans):
        tensors = {"output": first_output(model(**inputs)).contiguous()}
        if own.kind == "language":
            prompts = padded_prompts()
            tensors |= {f"prompt.{name}": tensor for name, tensor in prompts.items()}
            tensors["text"] = written(model, prompts, cached=False)
    save_file(
        {**{f"input.{name}": own for name, own in inputs.items()}, **tensors}, folder.parent / "expected.safetensors"
    )


def padded_prompts() -> dict[str, torch.Tensor]:
    """Return two prompts, the second padded on the left."""
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(4, 28, (2, TOKENS)))
    mask = torch.ones_like(ids)
    mask[1, : TOKENS // 3] = 0
    ids[1, : TOKENS // 3] = 3
    return {"input_ids": ids, "attention_mask": mask}


def complaint_of(own: Kept, data: Mapping[str, str], place: Path) -> str:
    """Return the sentence with which a model is refused, or in capitals that it is not, or by what else."""
    try:
        problem_of(own, data, place)
    except ConfigError as error:
        return " ".join(str(error).split())
    except Exception as error:  # a table of what is refused shows what is not refused as it should be
        return f"NOT BY A SENTENCE: {type(error).__name__}: {' '.join(str(error).split())[:150]}"
    return "NOT REFUSED"
