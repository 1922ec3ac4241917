"""The model that methods are tried on: made once in a process, and gone with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from emoprune.problems.language.loading import language_model
from emoprune.problems.language.sample import WORDS, sample_model


def test_the_sample_is_a_language_model_that_knows_its_words_and_is_made_once() -> None:
    loaded = language_model(str(sample_model()))
    assert loaded.source.architecture == "LlamaForCausalLM"
    assert [loaded.tokenizer(word, add_special_tokens=False)["input_ids"] for word in WORDS] == [
        [number] for number in range(4, 4 + len(WORDS))
    ]
    assert sample_model() == sample_model()


def test_what_another_process_writes_for_its_samples_is_gone_with_it() -> None:
    asked = "from emoprune.problems.language.sample import sample_folder as made; (made() / 'x').touch(); print(made())"
    answered = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=100, check=True)
    folder = Path(answered.stdout.strip())
    assert folder.name.startswith("emoprune-sample-")
    assert not folder.exists()
