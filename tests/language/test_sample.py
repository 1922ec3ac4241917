"""The model that methods are tried on: the same in every process, and gone with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from emoprune.problems.language.loading import language_model
from emoprune.problems.language.sample import WORDS, sample_model

ASKED = """
from emoprune.problems.language.loading import language_model
from emoprune.problems.language.sample import sample_model
print(sample_model())
print(language_model(str(sample_model())).digest())
"""


def test_the_sample_is_a_language_model_that_knows_its_words_and_is_made_once() -> None:
    loaded = language_model(str(sample_model()))
    assert loaded.source.architecture == "LlamaForCausalLM"
    assert [loaded.tokenizer(word, add_special_tokens=False)["input_ids"] for word in WORDS] == [
        [number] for number in range(4, 4 + len(WORDS))
    ]
    assert sample_model() == sample_model()


def test_another_process_draws_the_same_sample_and_leaves_nothing_behind() -> None:
    asked = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=100, check=True)
    folder, digest = asked.stdout.split()
    assert digest == language_model(str(sample_model())).digest()
    assert Path(folder) != sample_model()
    assert not Path(folder).parent.exists()
