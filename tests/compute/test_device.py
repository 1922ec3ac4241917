"""Computing so that the same comes out again."""

from __future__ import annotations

import pytest
import torch

from emoprune.problems.compute.device import one_thread, seeded


def test_a_seed_draws_the_same_and_leaves_torchs_own_generator_as_it_was() -> None:
    before = torch.random.get_rng_state()
    drawn = []
    for _ in range(2):
        with seeded(3):
            drawn.append(torch.rand(4))
    assert torch.equal(*drawn)
    assert torch.equal(before, torch.random.get_rng_state())


def failing(found: list[int]) -> None:
    with one_thread():
        found.append(torch.get_num_threads())
        raise KeyError("it")


def test_one_thread_is_for_the_block_alone_even_if_it_fails() -> None:
    before, found = torch.get_num_threads(), list[int]()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError, match="it"):
            failing(found)
        assert [*found, torch.get_num_threads()] == [1, 2]
    finally:
        torch.set_num_threads(before)
