"""Trains a retriever and a generator together on questions and answers (Lewis et al. 2020, RAG).

Nobody says which passage is the right one: the marginal likelihood of the answer over the passages found
teaches the question tower to find passages that make the answer likely, and the generator to write it from
them. The passages' vectors, and with them the index, stay as they are, or the index is built anew every so
many steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from accelerate import PartialState
from torch import Tensor

from ragkit.encoders.sentence import SentenceEncoder
from ragkit.encoders.towers import Task
from ragkit.errors import RagkitError
from ragkit.generation.loading import load_generator
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.retrieval.index import Index
from ragkit.retrieval.temperature import TEMPERATURES
from ragkit.training.checkpoint import save_model
from ragkit.training.curves import read_log
from ragkit.training.loop import train
from ragkit.training.rag.data import RagExample, hold_out, read_examples
from ragkit.training.rag.model import Features, RagModel, generator_shape
from ragkit.training.rag.rebuild import Rebuild
from ragkit.training.rag.recipe import RagRecipe, RagSettings
from ragkit.training.rag.retriever import Retriever
from ragkit.training.recipe import OnEvent, TrainingResult
from ragkit.training.retrieval.towers import Towers, build_towers, refuse_rounded, tower, training_shape


def train_rag(
    index: Index,
    data: Sequence[str | Path],
    out: Path,
    settings: RagSettings | None = None,
    on_event: OnEvent | None = None,
    split: str | None = None,
) -> TrainingResult:
    """Fine-tunes the index's question tower and a generator, and saves both.

    In `out`: `encoder/`, which `adopt` gives to the index; `generator/`, which `load_generator` reads; with
    `rebuild_every` also `index/`, as then that one alone holds the vectors of `encoder/`; `checkpoint/`,
    `log.jsonl`, `curve.png`. A run that was stopped goes on where it was. The result's scores are of held-out
    questions: mean log p(y|x) and Success@k, and with "before" those of the start.

    Args:
        data: DPR JSON, SQuAD JSON, BEIR folders with answers.
        split: of BEIR folders, by default `train`.

    Raises:
        RagkitError: on unreadable data, an encoder that cannot be trained, a generator that is no
            encoder-decoder, settings that do not fit, or a run in `out` with other settings or data.
    """
    settings = settings or RagSettings()
    _check(settings, index)
    examples, unanswered = read_examples(data, split)
    learnt, held = hold_out(examples, _articles(index, examples), settings.held_out)
    if not held:
        raise RagkitError(f"{len(examples)} questions are too few: a tenth of them is held out")
    generator = load_generator(settings.generator, runtime="torch")
    if not isinstance(generator, Seq2SeqGenerator):
        raise RagkitError(f"{settings.generator}: RAG trains encoder-decoders, not decoder-only models")
    trained_index = settings.rebuild_every is not None
    towers = build_towers(index.encoder.passport().name, "separate" if trained_index else "frozen")
    model = RagModel(
        tower(towers.model, "query"),
        generator,
        cosine=index.encoder.similarity == "cosine",
        temperature=_temperature(settings, index),
        passage=tower(towers.model, "document") if trained_index else None,
    )
    if on_event is not None:
        on_event({"event": "data", "questions": len(learnt), "held out": len(held), "left out": unanswered})
    encoder = index.encoder.passport()
    identity = [asdict(settings), encoder.fingerprint, encoder.questions, len(index), len(learnt)]
    of_passages = _preprocess(towers, "document") if trained_index else None

    def retriever(index: Index) -> Retriever:
        sizes = (settings.k, settings.max_tokens, settings.batch_tokens)
        return Retriever(index, generator, *sizes, of_passages)

    rebuild = Rebuild(index, towers, out, retriever) if trained_index else None
    with (
        training_shape(towers.model, settings.max_tokens),
        generator_shape(generator.model, settings.frozen_layers),
    ):
        asked = _preprocess(towers, "query")
        recipe = RagRecipe(model, generator, retriever(index), asked, learnt, held, settings, rebuild)
        result = train(recipe, out, settings.loop, on_event, identity)
    if PartialState().is_main_process:
        towers.save(out / "encoder")
        if rebuild is not None:
            rebuild.finish(out / "encoder")
    save_model(out / "generator", generator.model, generator.tokenizer)
    validated = [event for event in read_log(out / "log.jsonl") if event["event"] == "validate"]
    before = next(event for event in reversed(validated) if event["step"] == 0)
    scores = {name: score for name, score in result.scores.items() if name != "step"}
    scores |= {f"{name} before": before[name] for name in scores}
    return TrainingResult(out, result.steps, result.epochs, scores, result.stopped_early)


def _check(settings: RagSettings, index: Index) -> None:
    if settings.k < 1 or settings.batch < 1:
        raise RagkitError(f"k is {settings.k} and the batch {settings.batch}: ask for 1 or more of each")
    if settings.temperature is not None and not settings.temperature > 0:
        raise RagkitError(f"the temperature must be above 0, not {settings.temperature}")
    if not isinstance(index.encoder, SentenceEncoder):
        raise RagkitError(
            f"{index.path}: RAG trains encoders of sentence-transformers; this index has another kind"
        )
    if settings.rebuild_every is None:
        refuse_rounded(index.encoder.passport(), index.path)


def _temperature(settings: RagSettings, index: Index) -> float:
    """Of cosines that of dense search; inner products are log-odds as they are (Lewis et al. 2020)."""
    if settings.temperature is not None:
        return settings.temperature
    return TEMPERATURES["dense"] if index.encoder.similarity == "cosine" else 1.0


def _articles(index: Index, examples: Sequence[RagExample]) -> list[str]:
    """The title of each example's relevant passage; "" where the index holds none."""
    rows = index.rows_by_id()
    titles: dict[str, str] = {}
    found = []
    for example in examples:
        name = min((name for name in example.relevant if name in rows), default=None)
        if name is not None and name not in titles:
            titles[name] = index.passage(rows[name][0]).title
        found.append("" if name is None else titles[name])
    return found


def _preprocess(towers: Towers, task: Task) -> Callable[[Sequence[str]], Features]:
    """From texts to what the tower of the task reads, where the tower is."""
    model = towers.model
    names = ("query",) if task == "query" else ("document", "passage", "corpus")
    prompt = next((model.prompts[name] for name in names if model.prompts.get(name)), None)

    def features(texts: Sequence[str]) -> Features:
        read = model.preprocess(list(texts), prompt=prompt, task=task)
        return {name: v.to(model.device) if isinstance(v, Tensor) else v for name, v in read.items()}

    return features
