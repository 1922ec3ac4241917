"""Three parts that share no example: given as three files, or cut from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.data.examples import Example, Parts
from emoprune.records import Split

__all__ = ["Sizes", "check_disjoint", "cut", "kept_apart"]

LEAST = 6  # examples that three parts can be made of
TELLING = 4  # words; fewer stand in a prompt by chance


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many examples each part has at most; None for all there are."""

    search: int | None = 32
    select: int | None = 200
    test: int | None = None

    def __post_init__(self) -> None:
        for part in Split:
            size = self.of(part)
            if size is not None and size < 2:
                raise ConfigError(f"{part.value}_examples: expected 2 or more, found {size}")

    def of(self, split: Split) -> int | None:
        """Return the size of a part."""
        size: int | None = getattr(self, split.value)
        return size


def kept_apart(
    given: Mapping[Split, Sequence[Example]], prompt: str, sizes: Sizes
) -> tuple[dict[Split, tuple[Example, ...]], list[str]]:
    """Return the parts at their sizes, and sentences about what was left out.

    An example counts once: what stands in an earlier part, or earlier in its own, is left out of the later one, and
    what stands in the prompt itself is left out of all. The search part takes its rows from all classes in turn, the
    others in an order that depends on nothing but the examples.
    """
    seen: set[bytes] = set()
    parts, notes = {}, []
    in_prompt = " ".join(prompt.casefold().split())
    for split in Split:
        own, repeated, shown = [], 0, 0
        for example in given[split]:
            if _stands_in(example, in_prompt):
                shown += 1
            elif example.digest in seen:
                repeated += 1
            else:
                seen.add(example.digest)
                own.append(example)
        if repeated:
            notes.append(f"{repeated} rows of the {split.value} part stand elsewhere already; they are left out.")
        if shown:
            notes.append(f"{shown} rows of the {split.value} part stand in the prompt itself; they are left out.")
        parts[split] = tuple(_limited(own, sizes.of(split), in_turn=split is Split.SEARCH))
        if not parts[split]:
            raise ConfigError(f"examples: nothing is left for the {split.value} part; give more rows")
    check_disjoint(parts)
    return parts, notes


def _stands_in(example: Example, prompt: str) -> bool:
    texts = [" ".join(text.casefold().split()) for text in example.inputs]
    return sum(len(text.split()) for text in texts) >= TELLING and all(text in prompt for text in texts)


def _limited(examples: Sequence[Example], size: int | None, *, in_turn: bool) -> list[Example]:
    if in_turn:
        ordered = list(_in_turn(examples))
        return ordered if size is None else ordered[:size]
    if size is None or size >= len(examples):
        return list(examples)
    return sorted(examples, key=lambda each: each.digest)[:size]


def _in_turn(examples: Sequence[Example]) -> Iterator[Example]:
    """Yield one example of each answer, then the next of each, so that every beginning is as even as can be."""
    answers = sorted({each.answer for each in examples})
    piles = [[each for each in examples if each.answer == answer] for answer in answers]
    for turn in zip_longest(*piles):
        yield from (each for each in turn if each is not None)


def cut(examples: Sequence[Example], sizes: Sizes) -> dict[Split, tuple[Example, ...]]:
    """Cut one set of examples into three parts, whatever order it comes in.

    The search part takes from all answers in turn, though never more than a third of those with one answer; select and
    test share the rest, each answer in equal proportions.

    Raises:
        ConfigError: There are too few.
    """
    shuffled = sorted({each.digest: each for each in reversed(examples)}.values(), key=lambda each: each.digest)
    if len(shuffled) < LEAST:
        raise ConfigError(
            f"examples: expected at least {LEAST} different rows to make three parts of, found {len(shuffled)}; give "
            "more"
        )
    piles = _piles(shuffled)
    third = len(shuffled) // 3
    searched = list(_in_turn([each for pile in piles for each in pile[: max(1, len(pile) // 3)]]))
    search = searched[: min(sizes.search or third, third)]
    taken = {each.digest for each in search}
    rest = [[each for each in pile if each.digest not in taken] for pile in piles]
    left = sum(map(len, rest))
    share = min(sizes.select or third, left // 2) / left
    selected = {each.digest for pile in rest for each in pile[: round(share * len(pile))]}
    remaining = [each for each in shuffled if each.digest not in taken]
    return {
        Split.SEARCH: tuple(search),
        Split.SELECT: tuple(each for each in remaining if each.digest in selected),
        Split.TEST: tuple(each for each in remaining if each.digest not in selected),
    }


def _piles(examples: Sequence[Example]) -> list[list[Example]]:
    """Return the examples by answer; all in one pile where hardly any two have the same, as in arithmetic."""
    answers = sorted({each.answer for each in examples})
    if len(answers) > len(examples) / 3:
        return [list(examples)]
    return [[each for each in examples if each.answer == answer] for answer in answers]


def check_disjoint(parts: Parts) -> None:
    """Insist that no two parts share an example, by hash.

    Raises:
        ContractError: They do.
    """
    owners: dict[bytes, Split] = {}
    for split, examples in parts.items():
        for example in examples:
            owner = owners.setdefault(example.digest, split)
            if owner is not split:
                raise ContractError(
                    f"examples: {example.place} stands in the {owner.value} part and in the {split.value} part"
                )
