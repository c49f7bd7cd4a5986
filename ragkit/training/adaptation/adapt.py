"""An index's encoder adapted to its passages, without questions, and measured by passages held out."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import passage_text
from ragkit.errors import RagkitError
from ragkit.evaluation.statistics import Comparison, compare
from ragkit.index.stored import StoredIndex
from ragkit.training.adaptation.denoising import denoising_loss
from ragkit.training.adaptation.lessons import ViewLessons
from ragkit.training.adaptation.passages import choose_passages
from ragkit.training.adaptation.self_test import MEASURES, write_self_test
from ragkit.training.adaptation.view_losses import ViewLossName, view_loss
from ragkit.training.adaptation.views import Method
from ragkit.training.recipe import OnEvent
from ragkit.training.retrieval.plan import DualEncoderSettings
from ragkit.training.retrieval.run import train_towers
from ragkit.training.retrieval.towers import build_towers, refuse_rounded, training_shape


@dataclass(frozen=True, slots=True)
class AdaptSettings:
    """How an encoder is adapted.

    `method` makes the two views of a passage, `loss` is what is learnt from them (`tsdae` brings its own).
    `max_steps` steps of `batch` passages, but no passage more than `epochs` times. `frozen_passages` trains
    the questions' tower alone, so that the index stays as it is. `keep` is the share of the starting weights
    in the result. Of the index's passages `held_out` at most, a tenth at most, in whole documents, are not
    trained on; `questions` at most are asked about them, among `pool` passages.
    """

    method: Method = "ict"
    loss: ViewLossName = "nll"
    frozen_passages: bool = False
    batch: int = 32
    max_steps: int = 100
    epochs: float = 5.0
    max_tokens: int = 128
    learning_rate: float = 2e-5
    keep: float = 0.0
    held_out: int = 200
    questions: int = 300
    pool: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class AdaptationReport:
    """What adapting came to: each measure of the self-test before (`a`) and after (`b`)."""

    model: Path
    encoder: str
    method: Method
    loss: ViewLossName
    steps: int
    passages: int
    documents_held: int
    passages_held: int
    pool: int
    comparisons: list[Comparison]
    seconds: float

    @property
    def helped(self) -> bool:
        """Whether RR@10 rose by more than chance explains: its 95 % interval lies above 0."""
        return self.comparisons[0].difference.low > 0

    @property
    def verdict(self) -> str:
        """In a sentence."""
        gain = self.comparisons[0].difference
        if self.helped:
            return f"adapting helped on passages held out: {self.comparisons[0].measure} {gain.mean:+.3f}"
        found = "it finds less" if gain.high < 0 else "the difference may be chance"
        return f"adapting did not help on passages held out ({found}): keep the old encoder, {self.encoder}"


def adapt(
    index: str | Path,
    out: Path,
    settings: AdaptSettings | None = None,
    on_event: OnEvent | None = None,
) -> AdaptationReport:
    """Trains the index's encoder on its passages and saves it in `out/model`, where `load_encoder` finds it.

    The index is only read. A run that was stopped goes on where it was. In `out`: `model/`, `checkpoint/`,
    `log.jsonl`, `curve.png`, `report.json`. Whether it helped or not, the model is kept.

    Raises:
        RagkitError: if there is no index or it is too small, settings that do not fit together, an encoder
            that cannot be trained, or a run in `out` with other settings or passages.
    """
    s = settings or AdaptSettings()
    for name in (s.method, s.loss):
        if s.frozen_passages and name not in ("ict", "crop", "nll"):
            raise RagkitError(
                f"{name} trains the vectors of passages themselves: "
                "with frozen passages use ict or crop, by nll"
            )
    if s.method == "tsdae" and s.loss != "nll":
        raise RagkitError(f"tsdae has a loss of its own, a decoder's: leave {s.loss} out, or use crop")
    if s.batch < 2:
        raise RagkitError("a batch needs two passages or more: each one's are the others' negatives")
    if not 0 <= s.keep < 1:
        raise RagkitError(f"keep is {s.keep}: the share of the starting weights is from 0 to below 1")
    began = time.monotonic()
    told = on_event or (lambda event: None)
    opened = StoredIndex.open(index)
    spec = opened.manifest.passport.name
    if s.frozen_passages:
        refuse_rounded(opened.manifest.passport, opened.path)
    towers = build_towers(spec, "frozen" if s.frozen_passages else "shared")
    chosen = choose_passages(opened, s.max_steps * s.batch, s.held_out, s.pool)
    test = write_self_test(chosen.pool, chosen.held, s.questions, s.seed)
    stored = opened.passage_vectors()
    vectors = stored(chosen.pool_rows)
    before = test.values(opened.encoder.encode_questions(test.questions), vectors)
    told({"event": "measured", "when": "before"} | {m: float(before[m].mean()) for m in MEASURES})

    dual = DualEncoderSettings(
        encoder=spec, towers=towers.name, batch=s.batch, max_steps=s.max_steps, epochs=s.epochs, negatives=0,
        max_tokens=s.max_tokens, learning_rate=s.learning_rate, keep=s.keep, held_out=0, seed=s.seed,
    )  # fmt: skip
    lessons = ViewLessons(chosen.training, s.method, dual, s.frozen_passages)
    if towers.stored is not None:
        texts = [passage_text(passage.title, passage.text) for passage in chosen.training]
        towers.stored.put(texts, stored(chosen.training_rows))
    if s.method == "tsdae":
        loss: nn.Module | None = denoising_loss(towers.model, spec, s.seed)
    else:
        loss = view_loss(towers.model, s.loss, s.seed)
    with training_shape(towers.model, s.max_tokens, dropout=s.method == "simcse"):
        train_towers(towers.model, lessons, None, out, dual, told, loss)
    towers.save(out / "model")

    adapted = load_encoder(out / "model")
    if not s.frozen_passages:
        vectors = adapted.encode_passages([(passage.title, passage.text) for passage in chosen.pool])
    after = test.values(adapted.encode_questions(test.questions), vectors)
    told({"event": "measured", "when": "after"} | {m: float(after[m].mean()) for m in MEASURES})
    report = AdaptationReport(
        model=out / "model",
        encoder=spec,
        method=s.method,
        loss=s.loss,
        steps=lessons.total,
        passages=len(lessons),
        documents_held=chosen.documents_held,
        passages_held=chosen.held,
        pool=len(chosen.pool),
        comparisons=[compare(measure, before[measure], after[measure]) for measure in MEASURES],
        seconds=time.monotonic() - began,
    )
    written = json.dumps(report_json(report) | {"questions": test.questions}, indent=1, ensure_ascii=False)
    (out / "report.json").write_text(written + "\n", encoding="utf-8")
    return report


def report_json(report: AdaptationReport) -> dict[str, Any]:
    """The report with its verdict, for JSON."""
    return asdict(report) | {
        "model": str(report.model),
        "helped": report.helped,
        "verdict": report.verdict,
    }
