"""Few-shot intents of topics unseen: prototypes, matching, relation network and MAML against logistic
regression on the same vectors; and how well questions for none are told.

    python -m eval.routing.few_shot --data DATA --cache runs/routing

BANKING77's 77 intents: 50 to choose by, 27 unseen. Methods and their constants are chosen on 17 of the 50,
with relation network and MAML trained on the other 33; the unseen ones are looked at once, with both trained
on all 50. Support is drawn from the training file, questions from the test file. Writes
eval/results/routing.md.
"""

import argparse
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.printed import RESULTS
from eval.routing.data import Banking, Texts, banking
from eval.routing.learners import Maml, Relation
from ragkit.encoders.encoder import Vectors
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.routing import classifiers
from ragkit.retrieval.routing.classifiers import Labels, Method, Scores, fit
from ragkit.retrieval.routing.router import unit
from ragkit.retrieval.routing.threshold import calibrated, similarity

Learner = Callable[[Vectors, Labels, Vectors], Scores]
Values = npt.NDArray[np.float64]

SHOTS = (1, 5)
EPISODES = 200
DRAWS = 3
"""Of the examples in the classification among all unseen intents."""
CHOSEN_BY = 17
BASELINE = "logistic regression"
HEAD = ["intents", "shots", "method", "accuracy", f"minus {BASELINE}'s"]
HEAD_NONE = [
    "shots", "for a label, sent to none", "for none, sent to none", "AUROC: nearest example",
    "nearest prototype", "highest probability",
]  # fmt: skip
REPORT = """# Routing by a few examples

`python -m eval.routing.few_shot --data DATA --cache runs/routing`: BANKING77 (25 texts an intent of the
training file, 20 of the test file), vectors of the packaged encoder; 95 % bootstrap intervals over episodes
(5-way) or questions (all intents), p of the paired randomisation test.

## Topics unseen

27 intents by which nothing was chosen and on which nothing was trained.

{unseen}
Questions for none: routers of half of the 27, thresholds calibrated on their examples alone; for none are the
questions of the other half, all of the same bank.

{none}
## What was chosen by other topics

17 intents; relation network and MAML trained on 33 more.

{chosen}
{constants}
Questions for none, routers of half of these 50:

{none_known}"""


def episodes(learner: Learner, support: Texts, query: Texts, ways: int, shots: int, count: int) -> Values:
    """The accuracy of each of `count` episodes with five questions a class, (count,)."""
    rng = np.random.default_rng(0)
    intents = np.unique(support.labels)
    accuracy = []
    for _ in range(count):
        chosen = rng.permutation(intents)[:ways]
        given = np.concatenate([drawn(rng, support, intent, shots) for intent in chosen])
        asked = np.concatenate([drawn(rng, query, intent, 5) for intent in chosen])
        labels = np.arange(ways).repeat(shots)
        scores = learner(support.vectors[given], labels, query.vectors[asked])
        accuracy.append((scores.argmax(axis=1) == np.arange(ways).repeat(5)).mean())
    return np.array(accuracy)


def among_all(learner: Learner, support: Texts, query: Texts, shots: int) -> Values:
    """Whether each question finds its intent among all, the mean over draws of the support, (questions,)."""
    rng = np.random.default_rng(1)
    intents = np.unique(support.labels)
    wanted = np.searchsorted(intents, query.labels)
    right = []
    for _ in range(DRAWS):
        given = np.concatenate([drawn(rng, support, intent, shots) for intent in intents])
        labels = np.arange(len(intents)).repeat(shots)
        scores = learner(support.vectors[given], labels, query.vectors)
        right.append(scores.argmax(axis=1) == wanted)
    return np.mean(right, axis=0)


def drawn(rng: np.random.Generator, texts: Texts, intent: int, count: int) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(texts.labels == intent)
    return rng.permutation(rows)[:count]


def plain(method: Method) -> Learner:
    return lambda support, labels, query: fit(method, support, labels).scores(query)


def learners(trained_on: Texts, shots: int) -> dict[str, Learner]:
    return {
        BASELINE: plain("logistic"),
        "prototypes": plain("prototypes"),
        "matching": plain("matching"),
        "relation network": Relation(trained_on, shots),
        "MAML": Maml(trained_on, shots),
    }


def choose(data: Banking) -> tuple[list[list[str]], list[list[str]]]:
    """On 17 of the known intents: constants of the methods, then the methods themselves."""
    by, rest = data.known[:CHOSEN_BY], data.known[CHOSEN_BY:]
    support, query = data.train.of(by), data.test.of(by)
    constants: list[list[str]] = []
    for name, method, values in (
        ("INVERSE_PENALTY", "logistic", (1.0, 10.0, 100.0)),
        ("MATCHING_SCALE", "matching", (5.0, 10.0, 20.0, 40.0)),
    ):
        kept = getattr(classifiers, name)
        for value, shots in product(values, SHOTS):
            setattr(classifiers, name, value)
            found = among_all(plain(method), support, query, shots)  # type: ignore[arg-type]
            constants.append([name, f"{value:g}", str(shots), str(estimate(found))])
        setattr(classifiers, name, kept)
    return constants, compared(support, query, data.train.of(rest))


def compared(support: Texts, query: Texts, trained_on: Texts) -> list[list[str]]:
    """A row a method and setting, beside its difference to logistic regression."""
    rows = []
    for shots in SHOTS:
        methods = learners(trained_on, shots)
        intents = len(np.unique(support.labels))
        settings: Mapping[str, Callable[[Learner], Values]] = {
            "5-way": lambda of, k=shots: episodes(of, support, query, 5, k, EPISODES),  # type: ignore[misc]
            f"{intents}-way": lambda of, k=shots: among_all(of, support, query, k),  # type: ignore[misc]
        }
        for setting, measure in settings.items():
            values = {name: measure(learner) for name, learner in methods.items()}
            for name, of in values.items():
                versus = compare(name, values[BASELINE], of)
                difference = "" if name == BASELINE else f"{versus.difference} (p {versus.p:.4f})"
                rows.append([setting, str(shots), name, str(estimate(of)), difference])
                print(*rows[-1], sep="\t", flush=True)
    return rows


def for_none(support: Texts, query: Texts, shots: int) -> list[str]:
    """Routers of half the intents, asked questions of all; the means over draws of intents and examples.

    First the shares of questions for a label, and for none, that are sent to none by a threshold that is
    calibrated on the examples alone; then the AUROC of the nearest example, of the nearest prototype and of
    the highest probability."""
    rng = np.random.default_rng(2)
    intents = np.unique(support.labels)
    found = []
    for _ in range(DRAWS):
        half = np.sort(rng.permutation(intents)[: len(intents) // 2])
        given = np.concatenate([drawn(rng, support, intent, shots) for intent in half])
        vectors, labels = support.vectors[given], np.arange(len(half)).repeat(shots)
        threshold = calibrated(vectors, labels, vectors[:0])
        near = similarity(query.vectors, vectors)
        centres = classifiers.prototypes(vectors, labels)
        scores = plain("prototypes")(vectors, labels, query.vectors).astype(np.float64)
        highest = -np.log(np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1))
        inside = np.isin(query.labels, half)
        refused = near < threshold.value
        areas = [
            (of[inside][:, None] > of[~inside]).mean()
            for of in (near, similarity(query.vectors, unit(centres)), highest)
        ]
        found.append([refused[inside].mean(), refused[~inside].mean(), *areas])
    return [str(shots)] + [f"{value:.3f}" for value in np.mean(found, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds banking77")
    parser.add_argument("--cache", type=Path, required=True, help="where vectors are kept")
    options = parser.parse_args()
    data = banking(options.data, options.cache)
    constants, chosen = choose(data)
    unseen = compared(data.train.of(data.unseen), data.test.of(data.unseen), data.train.of(data.known))
    nones = []
    for intents in (data.unseen, data.known):
        texts = data.train.of(intents), data.test.of(intents)
        nones.append(markdown(HEAD_NONE, [for_none(*texts, shots) for shots in (2, 5, 10)]))
    text = REPORT.format(
        unseen=markdown(HEAD, unseen),
        chosen=markdown(HEAD, chosen),
        constants=markdown(["constant", "value", "shots", "accuracy, 17-way"], constants),
        none=nones[0],
        none_known=nones[1],
    )
    (RESULTS / "routing.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
