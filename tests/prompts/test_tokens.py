"""Token deletion as a problem: its promises, bad input, a search from end to end, and what comes out of it."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_for_tests import VOCABULARY, WORDS, drawn, gguf, llama, saved, tokenizer
from prompts_for_tests import PROMPT, VERBALISERS, masked_folder, parts, pieces_model, prompt_tokens, written
from prompts_for_tests import rows as drawn_rows

import emoprune
from emoprune.commands.export import export
from emoprune.config import load
from emoprune.contracts import Failure, Problem
from emoprune.errors import ConfigError
from emoprune.plugins import build
from emoprune.problems.language.loading import language_model
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Choices, Filled
from emoprune.problems.prompts.scorers.reading import LocalModel
from emoprune.problems.prompts.template import Template
from emoprune.records import Split
from emoprune.testing import ProblemConformance


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masked_folder(tmp_path_factory.mktemp("masked"))


class TestPromptTokens(ProblemConformance):
    genomes = 5

    @pytest.fixture(autouse=True)
    def _made(self, model: Path, examples: dict[str, str]) -> None:
        self.model, self.examples = model, examples

    def problem(self) -> Problem:
        return prompt_tokens(self.model, self.examples, references=["random", "threshold-accepting"])


class TestPromptTokensOfAnEarlierVersion(ProblemConformance):
    genomes = 5

    @pytest.fixture(autouse=True)
    def _made(self, model: Path, examples: dict[str, str]) -> None:
        self.model, self.examples = model, examples

    def problem(self) -> Problem:
        methods = ["random", "threshold-accepting"]
        return prompt_tokens(self.model, self.examples, references=methods, blocks=None, stop_early=True)


class TestMaskedPromptTokens(ProblemConformance):
    genomes = 4

    @pytest.fixture(autouse=True)
    def _made(self, masked: Path, examples: dict[str, str]) -> None:
        self.model, self.examples = masked, examples

    def problem(self) -> Problem:
        prompt = "the cat {sentence} is {mask_token} and old"
        return prompt_tokens(self.model, self.examples, prompt=prompt, references=["perplexity"])


def ready(problem: Any, folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def row(problem: Any, genome: Any, split: Split = Split.SEARCH) -> Any:
    return problem.evaluate(np.array(genome)[None], np.zeros(1, dtype=np.uint64), split)[0]


def test_each_token_has_a_gene_and_placeholders_have_a_lock(model: Path, tmp_path: Path) -> None:
    problem = prompt_tokens(model, parts(tmp_path), keep=["it likes"])
    names = [gene.name for gene in problem.space.genes]
    assert names[:3] == ["00 the", "01 cat", "02 sees"]
    locked = [gene.name for gene in problem.space.genes if gene.locked == 1]
    assert locked == ["06 it", "07 likes", "11 {sentence}"]


def test_what_is_measured_is_what_the_text_is_worth(model: Path, tmp_path: Path) -> None:
    examples = parts(tmp_path)
    problem = ready(prompt_tokens(model, examples), tmp_path)
    genome = problem.space.full.copy()
    genome[[0, 3, 5]] = 0
    text = problem.describe(genome)["prompt"]
    shorter = ready(prompt_tokens(model, examples, prompt=text), tmp_path / "shorter")
    assert row(problem, genome) == pytest.approx(row(shorter, shorter.space.full))


def test_nothing_left_but_placeholders_and_blanks_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    letters = gguf(tmp_path / "letters.gguf")
    letters_only = {"prompt": "a b{sentence} ", "verbalisers": {"one": "c", "two": "d"}}
    problem = ready(prompt_tokens(letters, parts(tmp_path), **letters_only), tmp_path)
    assert [gene.name for gene in problem.space.genes] == ["0 a", "1  ", "2 b", "3 {sentence}", "4  "]
    assert row(problem, [0, 1, 0, 1, 1]) == Failure("nothing is left of the prompt but its placeholders")
    assert not isinstance(row(problem, [0, 0, 1, 1, 0]), Failure)


def test_numbers_that_are_not_finite_are_a_failure(tmp_path: Path) -> None:
    broken = llama()
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    problem = ready(prompt_tokens(saved(tmp_path / "model", broken), parts(tmp_path)), tmp_path)
    assert row(problem, problem.space.full) == Failure("the model's answers are not finite numbers")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"prompt": "no placeholder"}, "expected a placeholder such as"),
        ({"prompt": "{sentence}"}, "expected text beside the placeholders that may be deleted, found none"),
        ({"keep": ["a bird"]}, "keep: expected texts of the prompt, found 'a bird'"),
        ({"keep": [PROMPT.split(" {")[0], " is"]}, "expected text beside the placeholders that may be deleted"),
        ({"references": ["magic"]}, "references: no reference is called 'magic'"),
        ({"reference_prompts": 0}, "reference_prompts: expected 1 or more, found 0"),
        ({"halving": 1.5, "blocks": None}, "halving: expected a share above 0 and at most 1, found 1.5"),
        ({"verbalisers": {"one": "red", "two": "not known"}}, "' not known' is not known to this model"),
        ({"verbalisers": {"one": "red", "two": "red"}}, "a different word for each class, found ' red' twice"),
        ({"verbalisers": {"one": "red", "three": "blue"}}, "the answer is 'two', which has no verbaliser"),
        ({"chat": True}, "chat: the model's tokenizer has no chat template"),
        ({"prompt": "{sentence} is {mask_token}"}, "needs a masked language model, and the tokenizer .* has no mask"),
        ({"objectives": ["speed"]}, "objectives: no objective is called 'speed'"),
        ({"task": "generation", "verbalisers": None}, "expected a number in the answer, found 'one'"),
        ({"search_examples": 1}, "search_examples: expected 2 or more, found 1"),
    ],
)
def test_what_cannot_be_used_is_refused(model: Path, tmp_path: Path, more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        prompt_tokens(model, parts(tmp_path), **more)


def test_an_example_longer_than_the_context_is_refused_before_the_search(model: Path, tmp_path: Path) -> None:
    examples = parts(tmp_path)
    examples["test"] = str(written(tmp_path / "long.tsv", [*drawn_rows(50)[40:], ("the cat " * 70, "one")]))
    complaint = r"test part: the longest example makes 15\d tokens .* the model reads 128"
    with pytest.raises(ConfigError, match=complaint):
        prompt_tokens(model, examples).prepare(tmp_path, 1)
    unread = shutil.copytree(model, tmp_path / "unread")
    (unread / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(ConfigError, match=complaint):
        prompt_tokens(unread, examples).inspect()


def test_an_example_longer_than_a_masked_models_context_is_refused_beforehand(masked: Path, tmp_path: Path) -> None:
    examples = parts(tmp_path)
    examples["test"] = str(written(tmp_path / "long.tsv", [*drawn_rows(50)[40:], ("the cat " * 70, "one")]))
    problem = prompt_tokens(masked, examples, prompt="the cat {sentence} is {mask_token} and old")
    for refusing in (problem.inspect, lambda: problem.prepare(tmp_path, 1)):
        with pytest.raises(ConfigError, match="the longest example makes 146 tokens of the prompt, the model reads 96"):
            refusing()


@pytest.mark.parametrize(
    ("positions", "answer", "complaint"),
    [
        (
            32,
            64,
            r"tokens of the prompt and an answer has up to 64, the model reads 32; shorten the prompt, or answer_tok",
        ),
        (24, 1, r"search part: the longest example makes 2[5-9] tokens of the prompt, the model reads 24"),
        (32, 4, None),
    ],
)
def test_a_model_that_counts_positions_is_refused_where_an_answer_would_not_fit(
    tmp_path: Path, positions: int, answer: int, complaint: str | None
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4}
    model = saved(tmp_path / "model", drawn(GPT2LMHeadModel, GPT2Config(n_positions=positions, **sizes)))
    texts = [(f"{' '.join(WORDS[:20])} {text}", str(number % 3)) for number, (text, _) in enumerate(drawn_rows(12))]
    examples = str(written(tmp_path / "sums.tsv", texts, ("sentence", "answer")))
    writing = {"task": "generation", "verbalisers": None, "answer_tokens": answer, "prompt": "the {sentence} is"}
    problem = prompt_tokens(model, examples, **writing)
    if complaint is None:
        assert row(ready(problem, tmp_path), problem.space.full)[0] == 0.0
    else:
        with pytest.raises(ConfigError, match=complaint):
            problem.prepare(tmp_path, 1)


def test_a_truncated_gguf_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    file = gguf(tmp_path / "small.gguf")
    file.write_bytes(file.read_bytes()[:4000])
    with pytest.raises(ConfigError, match=r"small\.gguf cannot be read as GGUF"):
        prompt_tokens(file, parts(tmp_path))


def test_a_model_and_an_endpoint_are_not_both_asked(model: Path, tmp_path: Path) -> None:
    from emoprune.problems.prompts.scorers.calling import Endpoint

    with pytest.raises(ConfigError, match="expected a model here or an endpoint, found both"):
        prompt_tokens(model, parts(tmp_path), endpoint=Endpoint("http://x", "m"))


def test_written_answers_without_the_wanted_number_are_wrong(model: Path, tmp_path: Path) -> None:
    texts = [(text, str(number % 3)) for number, (text, _) in enumerate(drawn_rows(40))]
    written(tmp_path / "sums.tsv", texts, ("sentence", "answer"))
    problem = ready(
        prompt_tokens(
            model,
            str(tmp_path / "sums.tsv"),
            task="generation",
            verbalisers=None,
            answer_tokens=3,
            objectives=["accuracy", "tokens"],
        ),
        tmp_path,
    )
    found = row(problem, problem.space.full)
    assert found[0] == 0.0, "words are no numbers"
    with pytest.raises(ConfigError, match=r"'reward' is no measure of this task, .* expected one of accuracy, tokens"):
        prompt_tokens(model, str(tmp_path / "sums.tsv"), task="generation", verbalisers=None, objectives=["reward"])


WRITING = {"task": "generation", "match": "text", "answer_tokens": 2, "answer_end": "", "verbalisers": None}


def said_by(model: Path, folder: Path) -> str:
    """Write examples that are labelled with what the model writes after the whole prompt; return their file."""
    scorer = CausalScorer(LocalModel(language_model(str(model)), "cpu", special=True))
    texts = [text for text, _ in drawn_rows(60)]
    asked = Filled(Template.of(PROMPT, {"sentence"}), tuple((text,) for text in texts))
    said = scorer.prompted(asked, Choices.none()).continuations(np.arange(len(texts)), 2, "")
    labelled = [pair for pair in zip(texts, said, strict=True) if pair[1]]
    return str(written(folder / "said.tsv", labelled, ("sentence", "answer")))


def test_written_answers_are_searched_with_halving(model: Path, tmp_path: Path) -> None:
    options = {"prompt": PROMPT, **WRITING, "references": [], "blocks": None, "halving": 0.8}
    config = {
        "problem": {"name": "prompt-tokens", "model": str(model), "examples": said_by(model, tmp_path), **options},
        "search": {"population": 8, "generations": 2},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path / "runs", name="written")
    list(search)
    whole = ready(prompt_tokens(model, config["problem"]["examples"], **WRITING), tmp_path)
    halved = []
    for genome, accuracy in zip(search.run.history["genome"], search.run.history["obj.accuracy"], strict=True):
        hits = whole._scoring.scored(whole._template(np.array(genome)), Split.SEARCH).measured["accuracy"]
        first_half = hits[: len(hits) // 2]
        assert accuracy == pytest.approx(hits.mean() if first_half.mean() >= 0.8 else first_half.sum() / len(hits))
        halved.append(accuracy != pytest.approx(hits.mean()))
    assert 0 < sum(halved) < len(halved)


def test_a_prompt_that_writes_worse_on_the_first_half_is_not_put_to_the_second(model: Path, tmp_path: Path) -> None:
    problem = ready(prompt_tokens(model, said_by(model, tmp_path), **WRITING, blocks=None, halving=0.8), tmp_path)
    assert row(problem, problem.space.full)[0] == 1.0, "the examples are labelled with what the whole prompt says"
    assert json.loads((tmp_path / "yardsticks.json").read_text())["floor"] == 0.8
    fewest = np.where(problem.space.free, 0, 1)
    fewest[0] = 1
    template = problem._template(fewest)
    scored = problem._scoring.scored(template, Split.SEARCH, problem._give_up(template, Split.SEARCH))
    assert scored.values["accuracy"] < 0.8
    assert scored.rows == scored.of // 2
    hits = scored.measured["accuracy"].sum()
    assert scored.values["accuracy"] == hits / scored.of, "what it was not put to counts as wrong"
    assert problem._give_up(template, Split.TEST) is None, "what is reported is measured on everything"


def test_a_multiple_choice_is_answered_with_the_likeliest_letter_of_those_that_a_question_has(
    model: Path, tmp_path: Path
) -> None:
    rng, lines = np.random.default_rng(3), ["question\toption_1\toption_2\toption_3\tanswer"]
    for number, (text, _) in enumerate(drawn_rows(30)):
        options = [*rng.choice(["old", "new", "big"], 2, replace=False), "small" if number % 2 else ""]
        lines.append("\t".join([text, *options, "ABC"[number % (3 if number % 2 else 2)]]))
    (tmp_path / "questions.tsv").write_text("\n".join(lines) + "\n")
    prompt = "the cat {question} {option_1} or {option_2} or {option_3} it is"
    verbalisers = {"A": "red", "B": "blue", "C": "green"}
    asked = {"task": "multiple-choice", "prompt": prompt, "verbalisers": verbalisers}
    problem = ready(prompt_tokens(model, str(tmp_path / "questions.tsv"), **asked), tmp_path)
    examples, tokens = problem._task.data.parts[Split.SEARCH], problem._task.data.task.choices.tokens
    scorer, hits = problem._task.model.scorer, []
    for example in examples:
        text = Template.of(prompt, {"question", "option_1", "option_2", "option_3"}).about(example.inputs)
        offered = scorer.plain([text])[0][list(tokens)][: example.options]
        hits.append("ABC"[int(offered.argmax())] == example.answer)
    assert {example.options for example in examples} == {2, 3}
    assert row(problem, problem.space.full)[0] == pytest.approx(np.mean(hits))


def test_a_prompt_can_be_put_as_a_chat_and_the_chats_words_are_no_genes(tmp_path: Path) -> None:
    words = tokenizer()
    words.chat_template = (
        "{% for m in messages %}they {{ m['content'] }} it{% endfor %}{% if add_generation_prompt %} or{% endif %}"
    )
    folder = saved(tmp_path / "model", llama(), with_tokenizer=False)
    words.save_pretrained(folder)
    examples = parts(tmp_path)
    chat = ready(prompt_tokens(folder, examples, chat=True), tmp_path)
    plain = ready(prompt_tokens(folder, examples, prompt=f"they {PROMPT} it or"), tmp_path / "b")
    assert len(chat.space) == len(plain.space) - 3
    assert row(chat, chat.space.full)[0] == row(plain, plain.space.full)[0]


def test_bfloat16_is_decided_once_and_kept(model: Path, tmp_path: Path) -> None:
    examples = parts(tmp_path)
    decided = ready(prompt_tokens(model, examples, precision="auto"), tmp_path)
    kept = json.loads((tmp_path / "precision.json").read_text())
    assert str(decided._task.model.scorer.local.model.dtype) == f"torch.{kept['precision']}"
    assert ("changes none" in kept["why"]) == (kept["precision"] == "bfloat16")
    for precision in ("bfloat16", "float32"):
        said = {"precision": precision, "why": "said so"}
        (tmp_path / "precision.json").write_text(json.dumps(said))
        again = ready(prompt_tokens(model, examples, precision="auto"), tmp_path)
        assert str(again._task.model.scorer.local.model.dtype) == f"torch.{precision}"
        assert json.loads((tmp_path / "precision.json").read_text()) == said


def test_a_pre_flight_names_tokens_words_and_examples(model: Path, tmp_path: Path) -> None:
    problem = prompt_tokens(model, parts(tmp_path), keep=["cat"])
    found = problem.inspect()
    assert found.summary["tokens that may go"] == int(problem.space.free.sum())
    assert found.tables["verbalisers"][0] == {"answer": "one", "word": "' red'", "token": 17}
    assert [each["part"] for each in found.tables["examples"]] == ["search", "select", "test"]
    assert found.tables["prompt"][1] == {"token": 1, "text": " cat", "may go": "no"}


def test_other_models_examples_and_prompts_have_other_fingerprints(model: Path, tmp_path: Path) -> None:
    examples = parts(tmp_path)
    other = saved(tmp_path / "other", llama(key_value_heads=4))
    variants = [
        prompt_tokens(model, examples),
        prompt_tokens(other, examples),
        prompt_tokens(model, examples, prompt=PROMPT.replace("dog", "cat")),
        prompt_tokens(model, examples, verbalisers={"one": "blue", "two": "red"}),
        prompt_tokens(model, {**examples, "test": examples["select"], "select": examples["test"]}),
    ]
    found = []
    for number, problem in enumerate(variants):
        ready(problem, tmp_path / str(number))
        found.append(problem.fingerprint())
    assert len(set(found)) == len(found)


def test_workers_get_a_problem_without_its_model(model: Path, tmp_path: Path) -> None:
    problem = ready(prompt_tokens(model, parts(tmp_path)), tmp_path)
    assert len(pickle.dumps(problem)) < 100_000


def test_options_come_from_yaml_with_a_few_shot_prompt_as_a_mapping(model: Path, tmp_path: Path) -> None:
    written(tmp_path / "rows.tsv", drawn_rows(30))
    (tmp_path / "mine.yaml").write_text(f"""
problem:
  name: prompt-tokens
  model: {model}
  examples: {tmp_path}/rows.tsv
  prompt: {{shots: 1, template: "the {{sentence}} is {{answer}}", separator: " and "}}
  verbalisers: {{one: red, two: blue}}
""")
    config = load(tmp_path / "mine.yaml")
    problem = build("problem", config.problem.name, config.problem.options)
    text = problem._task.data.template.text
    assert text.endswith(" and the {sentence} is")
    assert text.count(" and the ") == 2
    direct = prompt_tokens(
        model, str(tmp_path / "rows.tsv"), prompt=FewShot(1, "the {sentence} is {answer}", separator=" and ")
    )
    assert direct._task.data.template == problem._task.data.template


@pytest.fixture(scope="module")
def searched(model: Path, tmp_path_factory: pytest.TempPathFactory) -> emoprune.Search:
    folder = tmp_path_factory.mktemp("searched")
    config = {
        "problem": {
            "name": "prompt-tokens",
            "model": str(model),
            "prompt": PROMPT,
            "verbalisers": VERBALISERS,
            "examples": parts(folder),
            "references": ["perplexity", "random", "threshold-accepting"],
            "accept_guessing": True,
        },
        "search": {"population": 10, "generations": 4, "reconsider": 0.5},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=folder / "runs", name="searched")
    list(search)
    return search


@pytest.mark.parametrize(("mode", "replacement"), [("generational", "children"), ("steady-state", "last")])
def test_the_loop_of_promptquine_only_deletes_and_goes_on_after_an_interruption_as_without_one(
    model: Path, tmp_path: Path, mode: str, replacement: str
) -> None:
    algorithm = {"name": "promptquine", "mode": mode, "replacement": replacement, "offspring": 4, "shortest": 2}
    config = {
        "problem": {
            "name": "prompt-tokens",
            "model": str(model),
            "prompt": PROMPT,
            "verbalisers": VERBALISERS,
            "examples": parts(tmp_path),
            "references": [],
            "accept_guessing": True,
        },
        "search": {
            "algorithm": algorithm,
            "sampling": "deletion",
            "mutation": "deletion",
            "seeding": "plain",
            "population": 4,
            "generations": 6,
        },
        "evaluation": {"backend": "serial"},
    }
    whole = emoprune.search(config, runs=tmp_path / "runs", name="whole")
    list(whole)
    stopped = emoprune.search(config, runs=tmp_path / "runs", name="stopped")
    turns = iter(stopped)
    assert [next(turns).index for _ in range(3)] == [0, 1, 2]
    turns.close()
    list(emoprune.resume(stopped.run))
    genomes = {each.candidate.id: each.candidate for each in whole.run.evaluations()}
    again = {each.candidate.id: each.candidate.genome.tolist() for each in stopped.run.evaluations()}
    assert again == {number: each.genome.tolist() for number, each in genomes.items()}
    children = [each for each in genomes.values() if each.generation > 0]
    assert children
    for child in children:
        (parent,) = (genomes[number].genome for number in child.parents)
        assert (child.genome <= parent).all()
        assert 1 <= (parent - child.genome).sum() <= 4


def test_a_search_ends_with_references_and_a_front_on_held_out_examples(searched: emoprune.Search) -> None:
    frame = searched.run.pareto
    assert {"unpruned", "threshold-accepting", "perplexity-50", "random-50"} <= set(frame["name"])
    assert frame.loc[frame["rank"] == 1, "test.tokens"].notna().all()


def test_the_best_half_is_measured_again_on_select_beside_the_front(searched: emoprune.Search) -> None:
    run = searched.run
    again = {number for number, split in run.remeasured() if split is Split.SELECT}
    assert {each.candidate.id for each in run.reconsidered} <= again
    assert len(run.reconsidered) == -(-len(run.evaluations()) // 2)
    frame = run.pareto
    on_search_front = emoprune.open_run(run.path).pareto_at(3)
    front_then = set(on_search_front.loc[on_search_front["rank"] == 1, "candidate_id"])
    ranked = set(frame.loc[frame["rank"].notna(), "candidate_id"])
    assert ranked > front_then


@pytest.mark.parametrize("formats", [("text",), ("json",), ("text", "json")])
def test_an_exported_prompt_can_be_used_by_itself(searched: emoprune.Search, formats: tuple[str, ...]) -> None:
    folder, said = export(searched.run, "knee", formats=formats)
    assert said["answers_compared"] == 10
    if "text" in formats:
        text = (folder / "prompt.txt").read_text()
        assert text.count("{sentence}") == 1
        assert text.endswith("\n")
    if "json" in formats:
        plain = json.loads((folder / "prompt.json").read_text())
        assert plain["answers"] == {"one": " red", "two": " blue"}
        assert plain["placeholders"] == ["sentence"]
        assert plain["tokens"] <= plain["tokens_of_the_whole"]


def test_what_an_input_holds_is_no_placeholder_of_the_exported_prompt(model: Path, tmp_path: Path) -> None:
    sentences = [text for text, _ in drawn_rows(60)]
    pairs = [f"{{second}} {sentences[row]}\t{sentences[row + 30]}\t{('one', 'two')[row % 2]}\n" for row in range(30)]
    (tmp_path / "pairs.tsv").write_text(f"first\tsecond\tlabel\n{''.join(pairs)}")
    prompt = "the {first} or {second} is"
    problem = ready(prompt_tokens(model, str(tmp_path / "pairs.tsv"), prompt=prompt), tmp_path)
    said = problem.export_as(problem.space.full, tmp_path, ("text",), verify=True)
    assert said["answers_compared"] == len(problem._task.data.parts[Split.TEST])


def shown(model: Path, folder: Path, braces: str, placeholder: str | None = None) -> Any:
    """Return a problem whose demonstrations hold a text in braces."""
    written(folder / "braces.tsv", [(f"{text} {braces} {text}", label) for text, label in drawn_rows(30)])
    shots = FewShot(1, "the {sentence} is {answer}", separator=" and ")
    asked = prompt_tokens(model, str(folder / "braces.tsv"), prompt=shots, placeholder=placeholder)
    return ready(asked, folder)


def test_a_prompt_with_other_braces_in_it_is_exported(model: Path, tmp_path: Path) -> None:
    problem = shown(model, tmp_path, "{cat}")
    assert problem.space.free.sum() == len(problem.space) - 1, "one placeholder stays, and nothing else"
    problem.export(problem.space.full, tmp_path)
    assert (tmp_path / "prompt.txt").read_text().count("{cat}") == 2


def test_a_prompt_whose_own_words_read_as_its_placeholder_is_exported_with_its_braces_doubled(
    model: Path, tmp_path: Path
) -> None:
    problem = shown(model, tmp_path, "{sentence}")
    assert problem.export(problem.space.full, tmp_path)["answers_compared"] == 10
    text = (tmp_path / "prompt.txt").read_text()
    assert (text.count("{{sentence}}"), text.count("{sentence} is")) == (2, 1)


def test_a_prompt_whose_own_words_read_as_its_placeholder_is_not_exported_where_nothing_escapes(
    model: Path, tmp_path: Path
) -> None:
    problem = shown(model, tmp_path, "{sentence}", "{}")
    with pytest.raises(ConfigError, match=r"own words hold \{sentence\}, .* as sentence_1 for sentence"):
        problem.export(problem.space.full, tmp_path)
    without = np.where(problem.space.free, 0, 1)
    without[0] = 1
    assert problem.export(without, tmp_path)["files"] == "prompt.txt"


def test_a_chat_of_a_model_without_a_template_is_refused(searched: emoprune.Search) -> None:
    with pytest.raises(ConfigError, match="has no chat template"):
        export(searched.run, "knee", formats=("chat",))
    assert not list((searched.run.path / "exports").glob("*/chat.json"))


def test_a_chat_after_which_the_words_are_several_tokens_is_measured_and_written(tmp_path: Path) -> None:
    problem = ready(prompt_tokens(pieces_model(tmp_path / "model"), parts(tmp_path)), tmp_path)
    folder = tmp_path / "export"
    folder.mkdir()
    said = problem.export_as(problem.space.full, folder, ("text", "json", "chat"), verify=True)
    assert 0 <= float(said["test_accuracy_as_a_chat"]) <= 1
    assert said["files"] == "prompt.txt, prompt.json, chat.json"
    chat = json.loads((folder / "chat.json").read_text())
    assert chat["messages"] == [{"role": "user", "content": PROMPT}]
    assert chat["rendered"] == f"[{PROMPT}]\n"


def test_a_resumed_run_goes_on_with_the_references_it_was_begun_with(searched: emoprune.Search) -> None:
    before = searched.run.history
    more = emoprune.resume(searched.run, overrides=["search.generations=5"])
    list(more)
    after = more.run.history
    assert after["candidate"].tolist()[: len(before)] == before["candidate"].tolist()
    assert (after["generation"] == 4).any()
