"""A model, a prompt, examples and what is measured: what all problems of this domain share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emoprune.contracts import Constraint, Failure, Objective, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import check_device
from emoprune.problems.language.loading import config_of, pretrained, tokenizer_of
from emoprune.problems.prompts.measures import measures_of
from emoprune.problems.prompts.objectives.contract import Answers, Seen
from emoprune.problems.prompts.options import Precision, PromptOptions
from emoprune.problems.prompts.prompt_data import PromptData, prompt_data_of
from emoprune.problems.prompts.scorers.calling import EndpointFailed
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Filled, Scorer
from emoprune.problems.prompts.scorers.endpoint import EndpointScorer
from emoprune.problems.prompts.scorers.masked import MaskedScorer
from emoprune.problems.prompts.scorers.precision import choose_precision
from emoprune.problems.prompts.scorers.reading import LocalModel, check_fast, limit_of, too_long
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.spans import ByToken, ByWord, Splitter
from emoprune.problems.prompts.stopping import GiveUp
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.writing import Writing
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.kept import write_json
from emoprune.records import Split

__all__ = ["PromptTask", "chat_around"]

_CONTENT = "\x00content\x00"
_log = logging.getLogger("emoprune")


class PromptTask:
    """Model, prompt and examples of one config; made in the driver, sent to the workers.

    Args:
        options: What the config says.
        problem: The name of the problem, for which measures are found.
        special: Placeholders that no example fills, and the longest text that the problem puts there.

    Raises:
        ConfigError: Something of it cannot be used.
    """

    def __init__(self, options: PromptOptions, problem: str, special: Mapping[str, str] = MappingProxyType({})) -> None:
        self.options = options
        self.model_name = "smollm2" if options.model is None else options.model
        self.tokenizer = self._tokenizer()
        self.splitter: Splitter = ByWord() if self.tokenizer is None else ByToken(self.tokenizer)
        self.around = chat_around(self.tokenizer) if options.chat else ("", "")
        self.data: PromptData = prompt_data_of(options.asked, self.tokenizer, self.around, tuple(special))
        self.longest = self.data.template
        for slot, text in special.items():
            self.longest = self.longest.with_text(slot, text)
        chosen = isinstance(self.data.task, Choosing)
        self.measures = measures_of(options, problem, chosen=chosen, unpruned=self._unanswered(self.longest))
        self._precision = options.precision
        self._scorer: Scorer | None = None
        self._check()

    def _tokenizer(self) -> Any | None:
        name = self.model_name if self.options.endpoint is None else self.options.endpoint.tokenizer
        if name is None:
            return None
        tokenizer = tokenizer_of(name)
        check_fast(tokenizer, name)
        return tokenizer

    def _check(self) -> None:
        masked = self.data.template.masked
        if masked and self.options.endpoint is not None:
            raise ConfigError("prompt: {mask_token} needs a masked language model, and endpoints have none")
        if masked and getattr(self.tokenizer, "mask_token", None) is None:
            raise ConfigError(
                f"prompt: {{mask_token}} needs a masked language model, and the tokenizer of {self.model_name!r} has "
                "no mask; leave it out, or give another model"
            )
        if masked and self.options.chat:
            raise ConfigError("chat: a masked language model takes no chats; leave it out")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better."""
        return self.measures.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What must hold."""
        return self.measures.constraints

    def length(self, template: Template) -> int:
        """Return how many tokens a prompt has without its input, to which the spaces before it belong."""
        return sum(map(self.splitter.count, [*(text.rstrip(" ") for text in template.texts[:-1]), template.texts[-1]]))

    def _unanswered(self, template: Template) -> Seen:
        return Seen(template.text, self.length(template), Answers.none())

    def of_prompt(self, template: Template) -> dict[str, float]:
        """Return what is measured of a prompt alone, which is known before it is put to an example."""
        return self.measures.of_prompt(self._unanswered(template))

    def filled(self, template: Template, split: Split) -> Filled:
        """Return a prompt about the examples of a part, as it is put to the model."""
        inputs = tuple(example.inputs for example in self.data.parts[split])
        return Filled(template.between(*self.around), inputs)

    def prepare(self, folder: Path, tried: Callable[[], Sequence[Template]]) -> None:
        """Load the model, decide its precision once if that is to be decided, and check that the prompt can be put.

        Args:
            folder: Where the decision is kept.
            tried: The whole prompt and several pruned ones, to decide by.

        Raises:
            ConfigError: The prompt does not fit into the model's context, or the endpoint cannot be used.
        """
        if self.options.precision == "auto":
            self._precision = self._decided(folder / "precision.json", tried)
        scorer = self.load("cpu")
        if isinstance(scorer, EndpointScorer):
            self._check_endpoint(scorer)
        for split in Split:
            self._check_fits(scorer, split)

    def _check_endpoint(self, scorer: EndpointScorer) -> None:
        filled, task = self.filled(self.longest, Split.SEARCH), self.data.task
        if isinstance(task, Writing):
            scorer.check_writing(filled, task.limit, task.stop)
        else:
            scorer.check(filled, task.choices)

    def _decided(self, path: Path, tried: Callable[[], Sequence[Template]]) -> Precision:
        if not isinstance(self.data.task, Choosing) or self.options.endpoint is not None:
            return "float32"  # what is written freely has no few predictions to compare
        if not path.exists():
            prompts = [self.filled(template, Split.SEARCH) for template in tried()]
            choice, self._scorer = choose_precision(
                lambda precision: self._loaded("cpu", precision), prompts, self.data.task.choices
            )
            write_json(path, {"precision": choice.precision, "why": choice.reason})
        kept: Precision = json.loads(path.read_text(encoding="utf-8"))["precision"]
        return kept

    def load(self, device: str) -> Scorer:
        """Load the model, once per process.

        Raises:
            ConfigError: There is no such device here, or no such model, or the prompt does not fit into its context.
        """
        check_device(device)
        if self._scorer is None or (isinstance(self._scorer, CausalScorer | MaskedScorer) and
                                    self._scorer.local.device != device):  # fmt: skip
            self._scorer = self._loaded(device, self._precision)
        return self._scorer

    def _loaded(self, device: str, precision: str) -> Scorer:
        if self.options.endpoint is not None:
            return EndpointScorer(self.options.endpoint)
        if self.data.template.masked:
            masked = pretrained(self.model_name, "masked-language-model", dtype=precision)
            return MaskedScorer(LocalModel(masked, device, special=True))
        causal = pretrained(self.model_name, "language-model", dtype=precision)
        return self._fastest(LocalModel(causal, device, special=not self.options.chat))

    def _fastest(self, local: LocalModel) -> CausalScorer:
        """Return the fastest scorer of those that say what the model says of each text by itself."""
        filled, task = self.filled(self.longest, Split.SEARCH), self.data.task
        self._check_fits(CausalScorer(local, sharing=False), Split.SEARCH)  # else there is nothing to compare
        for packing in (True, False):
            scorer = CausalScorer(local, packing=packing)
            if scorer.agrees_with_plain(filled, task.choices, task.answer_tokens):
                return scorer
        _log.warning("what examples share of the prompt cannot be read once by this model; each is read by itself")
        return CausalScorer(local, sharing=False)

    @property
    def scorer(self) -> Scorer:
        """The loaded model."""
        if self._scorer is None:
            raise ContractError("the model is not loaded yet; call setup(device, threads) first")
        return self._scorer

    def scoring(self) -> Scoring:
        """Return what puts prompts to the examples."""
        return Scoring(self.scorer, self.data.task, self.data.parts, self.measures, self.length, self.around)

    def _check_fits(self, scorer: Scorer, split: Split) -> None:
        task = self.data.task
        self._refuse(split, scorer.prompted(self.filled(self.longest, split), task.choices).refusal(task.answer_tokens))

    def check_lengths(self) -> None:
        """Refuse a text that is longer than the model reads, without its weights; what an endpoint reads only it knows.

        Raises:
            ConfigError: There is one.
        """
        if self.options.endpoint is not None or self.tokenizer is None:
            return
        limit = limit_of(config_of(self.model_name), self.tokenizer)
        masked = self.data.template.masked
        mask, answer_tokens = (self.tokenizer.mask_token, 1) if masked else ("", self.data.task.answer_tokens)
        for split in Split:
            texts = self.filled(self.longest, split).texts(mask)
            ids = self.tokenizer(texts, add_special_tokens=not self.options.chat)["input_ids"]
            self._refuse(split, too_long(ids, limit, answer_tokens))

    def _refuse(self, split: Split, refusal: str | None) -> None:
        if refusal is not None:
            shorter = "the prompt, or answer_tokens" if isinstance(self.data.task, Writing) else "the prompt"
            raise ConfigError(f"examples: {split.value} part: {refusal}; shorten {shorter}, or leave the example out")

    def row(self, scoring: Scoring, template: Template, split: Split, give_up: GiveUp | None = None) -> Row:
        """Return a prompt's objectives and bounded values on a part, or why it has none.

        A call that fails during a search must not end it, so it is a failure of its prompt alone.
        """
        try:
            scored = scoring.scored(template, split, give_up)
        except EndpointFailed as error:
            return Failure(str(error))
        return scored if isinstance(scored, Failure) else self.measures.row(scored.values)

    def fingerprint(self) -> str:
        """Return a digest of the model, the prompt, all examples and the words for their answers."""
        digest = hashlib.sha256(self.scorer.fingerprint().encode())
        digest.update(repr((self.data.template, self.around, self.data.task.choices)).encode())
        for split, examples in self.data.parts.items():
            for example in examples:
                digest.update(repr((split.value, example.inputs, example.answer)).encode())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves.
        return {**vars(self), "_scorer": None}


def chat_around(tokenizer: Any | None) -> tuple[str, str]:
    """Return what a model's chat template puts before and after a user's message that is to be answered.

    Raises:
        ConfigError: There is no tokenizer at hand, or it has no chat template.
    """
    if getattr(tokenizer, "chat_template", None) is None or tokenizer is None:
        raise ConfigError("chat: the model's tokenizer has no chat template; leave it out, or give another model")
    message = [{"role": "user", "content": _CONTENT}]
    text: str = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    before, found, after = text.partition(_CONTENT)
    if not found:
        raise ConfigError("chat: the model's chat template changes a message's text; leave it out")
    return before, after
