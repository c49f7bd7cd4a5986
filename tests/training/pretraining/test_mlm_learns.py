"""What `ragkit train mlm` learns of real text: row 96. Minutes of training: `-m slow`."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from ragkit.training.pretraining.mlm import MlmSettings, train_mlm
from ragkit.training.pretraining.mlm_data import hold_out, tokenise
from ragkit.training.recipe import LoopSettings


@pytest.mark.slow
@pytest.mark.row(96)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_masked_model_is_below_the_unigram_on_squad(shared_data: Path, tmp_path: Path, seed: int) -> None:
    with gzip.open(shared_data / "squad" / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for _, line in zip(range(6000), lines, strict=False)]
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"id": str(at), "text": text}) + "\n" for at, text in enumerate(texts))
    )
    loop = LoopSettings(learning_rate=2e-3, max_steps=500, validate_every=500, warm_up=0.1, seed=seed)
    settings = MlmSettings(
        loop, vocabulary=4000, layers=2, width=128, max_tokens=64, batch_tokens=4096, dropout=0.0
    )
    scores = train_mlm([tmp_path / "texts.jsonl"], tmp_path / "run", settings).scores
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    learnt, held = hold_out(tokenise(texts, tokenizer), settings.held_out, seed)
    counts = np.ones(len(tokenizer))
    np.add.at(counts, np.concatenate([s for text in learnt for s in text]), 1)
    truth = np.concatenate([s for text in held for s in text])
    unigram = -np.log(counts / counts.sum())[truth].mean()
    top = (truth == counts.argmax()).mean()
    assert scores["loss"] <= unigram - 0.3
    assert scores["accuracy"] >= 2 * top
