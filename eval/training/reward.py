"""Fits the reward model that ships and says what it is worth.

    python -m eval.training.reward --data DATA --index indexes/squad [--questions 400] [--write]

Questions are those of SQuAD train's articles that the packaged reader and generator were not trained on; two
thirds of these articles fit the weights, the others measure them. No dev question is read. `--write` replaces
the packaged weights.
"""

import argparse
from pathlib import Path

from ragkit.chapters.rag.preferred import unseen_questions
from ragkit.evaluation.statistics import compare
from ragkit.generation import best_of
from ragkit.generation.evidence import Evidence
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.reader import ExtractiveReader
from ragkit.retrieval.index import Index
from ragkit.training.ranking.reward import exact_matches, fit_reward, preferences, propose, ranked_rightly

WHERE = Path(best_of.__file__).with_name("reward.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of SQuAD's paragraphs")
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    index = Index.open(arguments.index)
    evidence = Evidence(index)
    fit, measure = unseen_questions(arguments.data / "squad", arguments.questions)
    pairs, kept = [], []
    for answerer in (ExtractiveReader(index), RagSequence(index)):
        pairs += preferences(propose(answerer, fit), fit, evidence)
        answers = propose(answerer, measure)
        kept.append((answerer.config["model"], answers, preferences(answers, measure, evidence)))
    about = {"data": "SQuAD train, articles held out from reader and generator", "questions": len(fit)}
    model = fit_reward(pairs, about)
    for name, weight in model.weights.items():
        print(f"{name:12} {weight:8.3f}")
    print(f"fitted on {len(pairs)} preferences of {len(fit)} questions, measured on {len(measure)}\n")
    print(
        "| answers of | right above drawn | right above likeliest wrong | EM likeliest | EM best of n | p |"
    )
    print("|---|---|---|---|---|---|")
    for name, answers, held in kept:
        drawn = ranked_rightly(model, [pair for pair in held if pair.drawn])
        likeliest = ranked_rightly(model, [pair for pair in held if not pair.drawn])
        given, best = exact_matches(model, answers, measure, evidence)
        em = compare("EM", given, best)
        print(f"| {name} | {drawn:.3f} | {likeliest:.3f} | {em.a:.3f} | {em.b:.3f} | {em.p:.2g} |")
    if arguments.write:
        model.save(WHERE)


if __name__ == "__main__":
    main()
