"""Recipe of the dual encoder: DPR's training (Karpukhin et al. 2020), by sentence-transformers' own trainer.

Its losses are sentence-transformers', too. Ours are the batches (`retrieval_data`), the towers, checkpoints
that are safetensors and survive kill -9, scores of held-out questions before, during and after, and a share
of the starting weights in the result, against forgetting.
"""

from collections.abc import Sequence
from pathlib import Path

from ragkit.encoders.sentence import passage_text
from ragkit.errors import RagkitError
from ragkit.training.recipe import OnEvent, TrainingResult
from ragkit.training.retrieval.data import read_retrieval_set, split_held_out
from ragkit.training.retrieval.plan import Batches, DualEncoderSettings
from ragkit.training.retrieval.run import train_towers
from ragkit.training.retrieval.scores import HeldOut
from ragkit.training.retrieval.towers import build_towers, training_shape


def train_dual_encoder(
    data: Sequence[str | Path],
    out: Path,
    settings: DualEncoderSettings | None = None,
    on_event: OnEvent | None = None,
    split: str | None = None,
) -> TrainingResult:
    """Fine-tunes a dual encoder and saves it in `out/model`, where `load_encoder` finds it.

    A run that was stopped goes on where it was; one that is done only mixes the weights anew if `keep` is
    another. In `out`: `model/`, `checkpoint/`, `log.jsonl`, `curve.png`. The result's scores are of
    held-out questions, of the model saved and, with "before", of the one it started from.

    Args:
        data: DPR JSON (as `mine` writes it), SQuAD JSON, BEIR folders; a batch is always of one of them.
        split: of BEIR folders, by default `train`.

    Raises:
        RagkitError: on unreadable data, settings that do not fit together, a run in `out` with other
            settings or
            data, or a loss that is no longer a number.
    """
    settings = settings or DualEncoderSettings()
    if settings.batch < 2:
        raise RagkitError(
            "a batch needs two questions or more: each one's passages are the others' negatives"
        )
    if settings.group < 1:
        raise RagkitError(f"group is {settings.group}: a passage is shown with one question or more")
    if not 0 <= settings.keep < 1:
        raise RagkitError(f"keep is {settings.keep}: the share of the starting weights is from 0 to below 1")
    if settings.loss != "nll" and settings.negatives < 1:
        raise RagkitError(f"the loss {settings.loss} compares with a wrong passage: ask for 1 negative")
    if settings.loss == "triplet" and settings.negatives != 1:
        raise RagkitError(f"a triplet has one wrong passage: ask for 1 negative, not {settings.negatives}")
    sets = [read_retrieval_set(path, split) for path in data]
    parts = [split_held_out(one, settings.held_out) for one in sets]
    towers = build_towers(settings.encoder, settings.towers, settings.inner_product)
    batches = Batches([learnt for learnt, _ in parts], settings)
    with training_shape(towers.model, settings.max_tokens):
        held_out = HeldOut([held for _, held in parts], settings.pool)
        passages = dict.fromkeys(held_out.passages()) | dict.fromkeys(batches.passages())
        towers.put(list(passages), [passage_text(*passage) for passage in passages])
        scores = train_towers(towers.model, batches, held_out, out, settings, on_event)
    towers.save(out / "model")
    return TrainingResult(out / "model", batches.total, batches.total / batches.per_epoch, scores, False)
