"""The loop: resume is exact after kill -9, checkpoints are whole or absent, training stops early."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ragkit.errors import RagkitError, disk_is_full
from ragkit.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from ragkit.training.curves import read_log
from ragkit.training.loop import learning_rate_factor, train
from ragkit.training.recipe import LoopSettings, Recipe

SETTINGS = LoopSettings(
    learning_rate=0.01, epochs=6, validate_every=10, log_every=1, checkpoint_minutes=0, precision="fp32"
)


class Regression(Recipe):
    """A tiny regression whose loss depends on the generator of the step (noise) and on the epoch's order."""

    def __init__(self, pause: float = 0.0) -> None:
        torch.manual_seed(5)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
        self.model[0].bias.requires_grad_(False)
        self.pause = pause
        self.scores = iter([1.0, 2.0, 3.0, 4.0, 5.0])

    def batches(self, epoch: int) -> Sequence[int]:
        order = torch.randperm(10, generator=torch.Generator().manual_seed(epoch))
        return order.tolist()

    def step(self, model: nn.Module, batch: int) -> Mapping[str, Tensor]:
        time.sleep(self.pause)
        x = torch.randn(6, 4, generator=torch.Generator().manual_seed(batch))
        noise = torch.randn(6, 1)
        return {"loss": ((model(x) - x.sum(1, keepdim=True) - 0.1 * noise) ** 2).mean()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(99))
        return {"loss": float(((model(x) - x.sum(1, keepdim=True)) ** 2).mean())}


class Quiet(Regression):
    """Without noise and batch statistics: two batches give the same gradient together and apart."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(4, 1)

    def step(self, model: nn.Module, batch: int) -> Mapping[str, Tensor]:
        x = torch.randn(6, 4, generator=torch.Generator().manual_seed(batch))
        return {"loss": ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()}


class Watched(Regression):
    validates_first = True
    checkpoint_every = 4

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def before_step(self, step: int) -> None:
        self.steps.append(step)


class Worsening(Regression):
    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"loss": next(self.scores)}


def losses(folder: Path) -> dict[int, float]:
    return {e["step"]: e["loss"] for e in read_log(folder / "log.jsonl") if e["event"] == "step"}


def test_run_killed_at_any_moment_ends_as_one_that_was_not(tmp_path: Path) -> None:
    train(Regression(), tmp_path / "whole", SETTINGS)
    program = (
        "import sys; from pathlib import Path; from test_loop import *;"
        "train(Regression(pause=0.01), Path(sys.argv[1]), SETTINGS)"
    )
    torn = tmp_path / "torn"
    for wanted in (7, 31):
        process = subprocess.Popen([sys.executable, "-c", program, str(torn)], env=environment())
        deadline = time.monotonic() + 120
        while not ((torn / "log.jsonl").exists() and max(losses(torn), default=0) >= wanted):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.003)
        process.send_signal(signal.SIGKILL)
        process.wait()
    result = train(Regression(), torn, SETTINGS)
    assert losses(torn) == losses(tmp_path / "whole")
    assert result.scores == train(Regression(), tmp_path / "whole", SETTINGS).scores
    starts = [event for event in read_log(torn / "log.jsonl") if event["event"] == "start"]
    assert [event["resumed"] for event in starts] == [False, True, True]
    assert len(list((torn / "checkpoint").iterdir())) == 1
    assert (torn / "curve.png").read_bytes().startswith(b"\x89PNG")


def environment() -> dict[str, str]:
    """With this file's folder on the path, so that a child can import it."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}


def test_two_processes_share_the_batches_of_a_step(tmp_path: Path) -> None:
    alone = train(Quiet(), tmp_path / "alone", replace(SETTINGS, epochs=2, accumulate=2))
    program = tmp_path / "program.py"
    program.write_text(
        "import sys; from pathlib import Path; from test_loop import *\n"
        "train(Quiet(), Path(sys.argv[1]), replace(SETTINGS, epochs=2))"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run(
        [*launch, str(program), str(tmp_path / "shared")],
        env=environment() | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    scores = read_log(tmp_path / "shared" / "log.jsonl")[-1]["scores"]
    assert scores == pytest.approx(alone.scores)


def checkpointed(folder: Path, step: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    recipe = Regression()
    optimizer = torch.optim.AdamW([p for p in recipe.model.parameters() if p.requires_grad], lr=0.1)
    recipe.step(recipe.model, 0)["loss"].backward()
    optimizer.step()
    save_checkpoint(folder, recipe.model, optimizer, Progress(step=step), "same")
    return recipe.model, optimizer


def test_checkpoint_restores_weights_and_optimizer(tmp_path: Path) -> None:
    model, optimizer = checkpointed(tmp_path, 3)
    fresh = Regression()
    other = torch.optim.AdamW([p for p in fresh.model.parameters() if p.requires_grad], lr=0.1)
    progress = load_checkpoint(tmp_path, fresh.model, other, "same")
    assert progress is not None and progress.step == 3
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, fresh.model.state_dict()[name]), name
    for one, two in zip(
        optimizer.state_dict()["state"].values(), other.state_dict()["state"].values(), strict=True
    ):
        assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("moment", ["fsync", "rename"])
def test_crash_while_writing_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    model, optimizer = checkpointed(tmp_path, 3)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync") if moment == "fsync" else (Path, "rename")), crash)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, model, optimizer, Progress(step=4), "same")
    progress = load_checkpoint(tmp_path, model, optimizer, "same")
    assert progress is not None and progress.step == 3
    save_checkpoint(tmp_path, model, optimizer, Progress(step=4), "same")
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that goes on where there is space again ends as one that was never stopped."""
    whole = train(Regression(), tmp_path / "whole", SETTINGS)
    written: list[Path] = []

    def small(tensors: dict[str, Tensor], path: Path, **more: Any) -> None:
        written.append(path)
        if len(written) > 31:  # what safetensors says
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        save_file(tensors, path, **more)

    with monkeypatch.context() as patched:
        patched.setattr("ragkit.training.checkpoint.save_file", small)
        with pytest.raises(RagkitError, match="no space left on the disk; the last checkpoint"):
            train(Regression(), tmp_path / "run", SETTINGS)
    [folder] = (tmp_path / "run" / "checkpoint").glob("step-*")
    assert folder.name < "step-00000020"
    events: list[dict[str, Any]] = []
    again = train(Regression(), tmp_path / "run", SETTINGS, events.append)
    assert events[0]["resumed"] and again.scores == whole.scores


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_what_a_full_disk_is(code: int) -> None:
    assert disk_is_full(OSError(code, "so")) and not disk_is_full(OSError(errno.EACCES, "no"))
    assert not disk_is_full(ValueError("bad header"))


def test_other_settings_do_not_resume(tmp_path: Path) -> None:
    train(Regression(), tmp_path, LoopSettings(max_steps=3, precision="fp32"))
    with pytest.raises(RagkitError, match="other settings"):
        train(Regression(), tmp_path, LoopSettings(max_steps=4, precision="fp32"))


def test_damaged_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    settings = LoopSettings(max_steps=3, precision="fp32")
    train(Regression(), tmp_path, settings)
    [folder] = (tmp_path / "checkpoint").iterdir()
    (folder / "optimizer.safetensors").write_bytes(b"short")
    with pytest.raises(RagkitError, match="damaged checkpoint"):
        train(Regression(), tmp_path, settings)


def test_stops_early_and_keeps_the_best_weights(tmp_path: Path) -> None:
    events: list[dict[str, object]] = []
    settings = LoopSettings(max_steps=100, validate_every=2, patience=2, precision="fp32")
    result = train(Worsening(), tmp_path, settings, events.append)
    assert result.stopped_early and result.steps == 6
    assert result.scores == {"loss": 1.0, "step": 2}
    assert events == read_log(tmp_path / "log.jsonl")


def test_keeps_the_last_weights_where_nothing_stops_it(tmp_path: Path) -> None:
    result = train(Worsening(), tmp_path, LoopSettings(max_steps=6, validate_every=2, precision="fp32"))
    assert result.scores == {"loss": 3.0, "step": 6}


def test_finished_run_is_not_run_again(tmp_path: Path) -> None:
    settings = LoopSettings(max_steps=4, precision="fp32", log_every=1)
    first = train(Regression(), tmp_path, settings)
    second = train(Regression(), tmp_path, settings)
    assert first.scores == second.scores
    assert len([e for e in read_log(tmp_path / "log.jsonl") if e["event"] == "step"]) == 4


def test_accumulation_averages_the_batches_of_a_step(tmp_path: Path) -> None:
    settings = LoopSettings(epochs=1, accumulate=4, precision="fp32", log_every=1)
    result = train(Regression(), tmp_path, settings)
    assert result.steps == 3  # 10 batches: the last step goes on into the next epoch


def test_bfloat16_trains_float32_weights(tmp_path: Path) -> None:
    recipe = Regression()
    before = recipe.model[2].weight.clone()
    train(recipe, tmp_path, LoopSettings(max_steps=3, precision="bf16"))
    assert recipe.model[2].weight.dtype == torch.float32
    assert not torch.equal(before, recipe.model[2].weight)


def test_loss_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    recipe = Regression()
    recipe.model[2].weight.data.fill_(float("nan"))
    with pytest.raises(RagkitError, match="lower the learning rate"):
        train(recipe, tmp_path, LoopSettings(max_steps=3, precision="fp32"))


def test_warm_up_then_linear_decay() -> None:
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5) and factors[99] == pytest.approx(1 / 90)


def test_cut_off_line_of_the_log_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"event": "start"}) + '\n{"event": "st')
    assert read_log(log) == [{"event": "start"}]


def test_a_recipe_may_look_at_the_start_act_before_steps_and_ask_for_checkpoints(tmp_path: Path) -> None:
    recipe = Watched()
    settings = replace(SETTINGS, max_steps=9, validate_every=100, checkpoint_minutes=60)
    train(recipe, tmp_path, settings)
    assert recipe.steps == list(range(9))
    events = read_log(tmp_path / "log.jsonl")
    assert [e["step"] for e in events if e["event"] == "validate"] == [0, 9]
    assert [e["step"] for e in events if e["event"] == "checkpoint"] == [4, 8, 9]
