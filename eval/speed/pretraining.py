"""Pretraining against what people use instead: transformers' Trainer for BERT, torch.nn.LSTM for the ELMo.

    OMP_NUM_THREADS=1 python -m eval.speed.pretraining --data DATA [--rounds 3] [--steps 40]

MLM: one BERT with copied weights, packed passages of SQuAD, batches of as many tokens, AdamW with the same
rate, schedule, decay and clipping, the same precision; ours and theirs in turn, a seed a round. Tokens a
second are those of the median step, so that start-up counts for neither; the loss is that of both models on
the same held-out text after as many steps. LSTM: a layer of the ELMo's size, forward and backward.
Writes eval/results/pretraining_speed.md and .json.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eval.speed.measuring import Spread, interleaved, processor, ratio, write_results
from ragkit.evaluation.report import markdown
from ragkit.models.sequence.bert import BertConfig
from ragkit.models.sequence.bert_pretraining import BertForPretraining
from ragkit.models.sequence.bert_weights import load_pretraining, save_pretraining
from ragkit.models.sequence.lstm import LstmLayer
from ragkit.training.loop import train
from ragkit.training.pretraining.mlm import MlmRecipe, MlmSettings
from ragkit.training.pretraining.mlm_data import hold_out, packed, read_texts, tokenise, train_word_pieces
from ragkit.training.recipe import LoopSettings

TOKENS, BATCH = 128, 32
"""Of a sequence, and sequences of a step."""
UNCOUNTED = 5
"""Steps at the start of each run."""
RATE, WARM_UP, DECAY = 1e-3, 0.1, 0.01
LSTM = {"rows": 32, "tokens": 64, "width": 128, "cells": 512, "projection": 128}

Clock = Callable[[], float]


class Comparison:
    """The text, and both ways to train on it from the same weights."""

    def __init__(self, data: Path, passages: int, steps: int, precision: Any, clock: Clock) -> None:
        self.steps, self.precision, self.clock = steps, precision, clock
        documents = [text for text, _ in zip(read_texts([data / "squad"]), range(passages), strict=False)]
        self.tokenizer = train_word_pieces(documents, 16_000)
        learnt, self.held = hold_out(tokenise(documents, self.tokenizer), 20_000, 0)
        self.learnt = [list(chain(*learnt))]  # one text, so that every sequence is full for both
        self.config = BertConfig(len(self.tokenizer), 256, 4, 4, 1024, 512)

    def start(self, seed: int, folder: Path) -> None:
        torch.manual_seed(seed)
        save_pretraining(BertForPretraining(self.config, next_sentence=False), folder)
        self.tokenizer.save_pretrained(folder)

    def recipe(self, model: BertForPretraining, seed: int) -> MlmRecipe:
        loop = LoopSettings(
            learning_rate=RATE, warm_up=WARM_UP, weight_decay=DECAY, max_steps=self.steps, seed=seed,
            precision=self.precision, log_every=1, validate_every=self.steps, checkpoint_minutes=1e9,
        )  # fmt: skip
        settings = MlmSettings(loop, max_tokens=TOKENS, batch_tokens=TOKENS * BATCH)
        return MlmRecipe(model, self.tokenizer, self.learnt, self.held, settings)

    def ours(self, folder: Path, out: Path, seed: int) -> tuple[list[float], float]:
        """Seconds of each step, and the held-out loss."""
        recipe = self.recipe(load_pretraining(folder, next_sentence=False), seed)
        ends: list[float] = []
        result = train(
            recipe, out, recipe.settings.loop,
            lambda event: ends.append(self.clock()) if event["event"] == "step" else None,
        )  # fmt: skip
        return _steps(ends), result.scores["loss"]

    def theirs(self, folder: Path, out: Path, seed: int) -> tuple[list[float], float]:
        from transformers import (
            BertForMaskedLM,
            DataCollatorForLanguageModeling,
            Trainer,
            TrainerCallback,
            TrainingArguments,
        )

        ends: list[float] = []
        clock = self.clock

        class Ends(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *_: Any, **__: Any) -> None:
                ends.append(clock())

        sequences = packed(self.learnt, TOKENS, self.tokenizer)
        rows = [{"input_ids": sequence.tokens.tolist()} for sequence in sequences]
        arguments = TrainingArguments(
            output_dir=str(out), max_steps=self.steps, per_device_train_batch_size=BATCH,
            learning_rate=RATE, warmup_steps=round(WARM_UP * self.steps), weight_decay=DECAY,
            max_grad_norm=1.0, lr_scheduler_type="linear", seed=seed, bf16=self.precision == "bf16",
            use_cpu=True, save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
            dataloader_pin_memory=False,
        )  # fmt: skip
        model = BertForMaskedLM.from_pretrained(folder, dtype=torch.float32)
        trainer = Trainer(
            model, arguments, train_dataset=rows, callbacks=[Ends()],
            data_collator=DataCollatorForLanguageModeling(self.tokenizer, pad_to_multiple_of=8),
        )  # fmt: skip
        trainer.train()
        model.save_pretrained(out / "model")
        trained = load_pretraining(out / "model", next_sentence=False)
        with torch.no_grad():
            loss = self.recipe(trained, seed).validate(trained)["loss"]
        return _steps(ends), loss


def _steps(ends: list[float]) -> list[float]:
    return [after - before for before, after in zip(ends[UNCOUNTED:], ends[UNCOUNTED + 1 :], strict=False)]


def mlm(options: argparse.Namespace, precision: str, clock: Clock) -> dict[str, Any]:
    comparison = Comparison(options.data, options.passages, options.steps, precision, clock)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    losses: dict[str, list[float]] = {"ours": [], "theirs": []}
    for seed in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            start = Path(folder) / "start"
            comparison.start(seed, start)
            both = {"ours": comparison.ours, "theirs": comparison.theirs}
            for name in list(both)[:: 1 if seed % 2 else -1]:
                steps, loss = both[name](start, Path(folder) / name, seed)
                seconds[name].append(statistics.median(steps))
                losses[name].append(loss)
                print(f"{precision}, seed {seed}, {name}: {seconds[name][-1]:.3f} s, {loss:.3f}", flush=True)
    return {
        "precision": precision,
        "tokens a second": {name: TOKENS * BATCH / statistics.median(of) for name, of in seconds.items()},
        "seconds": seconds,
        "losses": losses,
        "difference": [a - b for a, b in zip(losses["ours"], losses["theirs"], strict=True)],
    }


def lstm(rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of forward and backward: torch's, ours, ours with the ELMo's clipping and unequal lengths."""
    torch.manual_seed(0)
    rows, tokens, width, cells, projection = LSTM.values()
    x = torch.randn(rows, tokens, width, requires_grad=True)
    slope = torch.randn(rows, tokens, projection)
    lengths = torch.randint(3 * tokens // 4, tokens + 1, (rows,))

    def run(layer: nn.Module, *given: Any) -> Callable[[], None]:
        return lambda: (layer(x, *given)[0] * slope).sum().backward()

    clipped = LstmLayer(width, cells, projection, 3.0, 3.0)
    candidates = {
        "torch.nn.LSTM": run(nn.LSTM(width, cells, proj_size=projection, batch_first=True)),
        "ours": run(LstmLayer(width, cells, projection)),
        "ours, clipped": run(clipped),
        "ours, clipped, rows of 48 to 64 tokens": run(clipped, None, lengths),
    }
    with warnings.catch_warnings():  # that oneDNN has no projection
        warnings.simplefilter("ignore")
        return interleaved(candidates, rounds, clock)


def report(results: dict[str, Any], options: argparse.Namespace) -> str:
    rows = []
    for one in results["mlm"]:
        speed, losses = one["tokens a second"], one["losses"]
        gap = one["difference"]
        rows.append(
            [one["precision"], f"{speed['ours']:,.0f}", f"{speed['theirs']:,.0f}"]
            + [ratio(one["seconds"]["theirs"], one["seconds"]["ours"]).cell()]
            + [f"{statistics.mean(losses[name]):.3f} ± {_half_range(losses[name]):.3f}" for name in losses]
            + [f"{statistics.mean(gap):+.3f} ± {_half_range(gap):.3f}"]
        )
    head = ["precision", "tokens/s, ours", "Trainer", "times as fast", "loss, ours", "Trainer", "difference"]
    torch_seconds = results["lstm"]["torch.nn.LSTM"]
    cells = [
        [name, f"{1000 * Spread.of(of).median:.1f}", ratio(of, torch_seconds).cell()]
        for name, of in results["lstm"].items()
    ]
    threads = torch.get_num_threads()
    return (
        "# Pretraining: speed\n\n"
        f"`OMP_NUM_THREADS={threads} python -m eval.speed.pretraining --data DATA --rounds {options.rounds} "
        f"--steps {options.steps} --passages {options.passages}`, {results['processor']}, {threads} "
        "thread(s), seconds of the processor.\n\n"
        "## MLM against transformers' Trainer\n\n"
        f"BERT of 4 layers and width 256, {TOKENS * BATCH:,} tokens a step, {options.steps} steps from the "
        f"same weights on {options.passages:,} passages of SQuAD, {options.rounds} seeds. Loss: nats a "
        "hidden token of the same held-out text after these steps, mean ± half of the range over seeds.\n\n"
        f"{markdown(head, rows)}\n"
        "Ours scores the hidden tokens alone, the Trainer all of them. The Trainer's first step has the rate "
        "0, so that it is one step behind, which a short run shows in its loss.\n\n"
        "## A layer of the ELMo's LSTM against torch.nn.LSTM(proj_size)\n\n"
        f"Forward and backward of {LSTM['rows']} rows of {LSTM['tokens']} tokens, width {LSTM['width']}, "
        f"{LSTM['cells']} cells, projection {LSTM['projection']}. torch's can neither clip nor leave padding "
        "out.\n\n"
        f"{markdown(['layer', 'ms', 'of the time of torch'], cells)}"
    )


def _half_range(values: list[float]) -> float:
    return (max(values) - min(values)) / 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds squad/")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--passages", type=int, default=3000)
    parser.add_argument("--precision", nargs="+", choices=["bf16", "fp32"], default=["bf16"])
    options = parser.parse_args()
    clock = time.process_time
    results = {
        "processor": processor(),
        "lstm": lstm(10 * options.rounds, clock),
        "mlm": [mlm(options, precision, clock) for precision in options.precision],
    }
    write_results("pretraining_speed", results, report(results, options))


if __name__ == "__main__":
    main()
