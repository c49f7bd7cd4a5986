"""RAG trained end to end against its parts before: retriever and generator, both ways crossed, on SQuAD dev.

    python -m eval.training.rag --data DATA --index runs/indexes/squad --trained runs/rag
        [--questions N] [--em-questions N]

Over all 20,958 paragraphs, question by question: log p(y|x) of the gold answer (its first wording) under
RAG-Sequence over 5 passages of dense search, by teacher forcing, and Success@5 of the same search. Exact
match is of what the default pipeline (hybrid, 5 passages) answers to the first `--em-questions` of the
questions, once with index and generator as they were, once with both trained. 95 % bootstrap intervals,
paired randomisation tests. The index stays as it is: the trained question tower serves it. Writes
eval/results/rag.json and .md.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.printed import RESULTS
from eval.retrieval.sets import SUITES, questions_of
from ragkit.corpus.document import Passage
from ragkit.corpus.questions import Question, QuestionSet
from ragkit.encoders.loading import load_encoder
from ragkit.evaluation.qa import evaluate_qa
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare, estimate
from ragkit.generation.generator import token_log_likelihoods
from ragkit.generation.loading import load_generator
from ragkit.generation.marginal import log_priors, log_sum
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.index import Index
from ragkit.retrieval.temperature import TEMPERATURES

K = 5
AT_ONCE = 8
"""Questions whose passages are read in one batch."""
ANSWER_TOKENS = 40
LIKELIHOOD, SUCCESS = "log-likelihood", f"Success@{K}"

Values = npt.NDArray[np.float64]


def searched(index: Index, questions: list[Question]) -> list[list[Hit]]:
    return index.search_batch([question.text for question in questions], K, mode="dense")


def success(questions: list[Question], hits: list[list[Hit]]) -> Values:
    return np.array(
        [
            float(any(hit.passage.document_id in question.relevant for hit in found))
            for question, found in zip(questions, hits, strict=True)
        ]
    )


def pair_likelihoods(
    generator: Seq2SeqGenerator, questions: list[Question], passages: list[list[Passage]]
) -> list[dict[str, float]]:
    """log p(y|x,z) of each question's first gold answer, by the id of the passage z."""
    end = generator.ending.stops[0]
    values: list[dict[str, float]] = []
    for at in range(0, len(questions), AT_ONCE):
        some = list(zip(questions[at : at + AT_ONCE], passages[at : at + AT_ONCE], strict=True))
        pairs = [(question, passage) for question, own in some for passage in own]
        reading, _ = generator.read(
            [question.text for question, _ in pairs], [passage for _, passage in pairs], ANSWER_TOKENS
        )
        golds = []
        for question, _ in pairs:
            ids = generator.tokenizer(question.answers[0], add_special_tokens=False)["input_ids"]
            golds.append((*ids[: ANSWER_TOKENS - 1], end))
        likelihoods = iter(token_log_likelihoods(reading, range(len(pairs)), golds).sum(-1).tolist())
        values += [{passage.id: next(likelihoods) for passage in own} for _, own in some]
        print(f"\r{at + len(some)}/{len(questions)} questions   ", end="", file=sys.stderr)
    print(file=sys.stderr)
    return values


def marginal(hits: list[Hit], likelihoods: dict[str, float]) -> float:
    """log sum_z p(z|x) p(y|x,z)."""
    prior = log_priors([hit.score for hit in hits], TEMPERATURES["dense"])
    return float(log_sum(prior + np.array([likelihoods[hit.passage.id] for hit in hits])))


def exact_matches(index: Index, generator: Seq2SeqGenerator, questions: list[Question]) -> Values:
    """As `eval.qa.run` grades: every question of SQuAD v1.1 has an answer, so that none is left without."""

    def show(done: int, total: int) -> None:
        print(f"\rexact match: {done}/{total} questions   ", end="", file=sys.stderr)

    answerer = RagSequence(index, generator, k=K, min_answer_tokens=2)
    report = evaluate_qa(answerer, QuestionSet("squad", "dev", questions), name="rag", on_questions=show)
    print(file=sys.stderr)
    return np.array([record.exact for record in report.records])


def against(name: str, before: Values, after: Values) -> dict[str, Any]:
    return {
        "before": asdict(estimate(before)),
        "after": asdict(estimate(after)),
        "comparison": asdict(compare(name, before, after)),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    questions = [
        question
        for question in questions_of(SUITES["squad"], "dev", options.data, options.questions)
        if question.answers
    ]
    frozen = Index.open(options.index)
    trained = Index.open(options.index, load_encoder(options.trained / "encoder"))
    hits = {"frozen": searched(frozen, questions), "trained": searched(trained, questions)}
    generators: dict[str, Any] = {
        "packaged": load_generator(options.generator),
        "trained": load_generator(str(options.trained / "generator")),
    }
    either = [
        list({hit.passage.id: hit.passage for hit in [*before, *after]}.values())
        for before, after in zip(hits["frozen"], hits["trained"], strict=True)
    ]
    likelihoods = {}
    for name, generator in generators.items():
        of_pairs = pair_likelihoods(generator, questions, either)
        for retriever, one in hits.items():
            likelihoods[retriever, name] = np.array(list(map(marginal, one, of_pairs)))
    start = likelihoods["frozen", "packaged"]
    found = {retriever: success(questions, one) for retriever, one in hits.items()}
    graded = questions[: options.em_questions]
    exact = {
        name: exact_matches(frozen if name == "packaged" else trained, generator, graded)
        for name, generator in generators.items()
        if graded
    }
    return {
        "questions": len(questions),
        "likelihood": {
            f"{retriever} retriever, {generator} generator": against(LIKELIHOOD, start, values)
            for (retriever, generator), values in likelihoods.items()
        },
        "success": against(SUCCESS, found["frozen"], found["trained"]),
        "exact": against("EM", exact["packaged"], exact["trained"]) if graded else None,
    }


def report(measured: dict[str, Any], command: str) -> str:
    rows = []
    for system, one in measured["likelihood"].items():
        rows.append([LIKELIHOOD, system, *_cells(one, system.startswith("frozen") and "packaged" in system)])
    rows.append([SUCCESS, "frozen retriever", *_cells(measured["success"], True)])
    rows.append([SUCCESS, "trained retriever", *_cells(measured["success"], False)])
    if measured["exact"] is not None:
        rows.append(["EM", "packaged generator, frozen index", *_cells(measured["exact"], True)])
        rows.append(["EM", "trained generator, trained question tower", *_cells(measured["exact"], False)])
    head = ["measure", "system", "mean", "minus the first", "p", "better, as good, worse"]
    return (
        "# RAG trained end to end\n\n"
        f"`{command}`. {measured['questions']:,} questions of SQuAD dev over all paragraphs; {LIKELIHOOD} of "
        f"the gold answer over {K} passages of dense search: log p(y|x), natural; EM in the default pipeline"
        + (f" on {measured['exact']['before']['questions']:,} questions" if measured["exact"] else "")
        + ". In brackets 95 % bootstrap intervals over questions, p of the paired randomisation test.\n\n"
        + markdown(head, rows)
    )


def _cells(one: dict[str, Any], first: bool) -> list[str]:
    of = one["before"] if first else one["after"]
    mean = f"{of['mean']:.3f} [{of['low']:.3f}, {of['high']:.3f}]"
    if first:
        return [mean, "", "", ""]
    versus = one["comparison"]
    gain = versus["difference"]
    return [
        mean,
        f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]",
        f"{versus['p']:.4f}",
        f"{versus['wins']}, {versus['ties']}, {versus['losses']}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds squad")
    parser.add_argument("--index", type=Path, default=Path("runs/indexes/squad"))
    parser.add_argument("--trained", type=Path, required=True, help="what `ragkit train rag` wrote")
    parser.add_argument("--generator", default="packaged", help="the one that training began with")
    parser.add_argument("--questions", type=int, default=1000, help="drawn with a fixed seed")
    parser.add_argument("--em-questions", type=int, default=300, help="of these, for EM; 0 for none")
    options = parser.parse_args()
    measured = measure(options)
    command = f"python -m eval.training.rag --data DATA --trained {options.trained}"
    text = report(
        measured, f"{command} --questions {options.questions} --em-questions {options.em_questions}"
    )
    print(text)
    (RESULTS / "rag.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "rag.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
