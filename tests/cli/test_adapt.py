"""`ragkit adapt` on the command line, with a model of a few kilobytes."""

from pathlib import Path
from typing import Any

import pytest
from command_line import Command, Result

SENTENCES = "Fox number {0} left den {1} at noon. It met hare {2} of field {3}. Both went to the river."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained sentence encoder that knows the words of `SENTENCES`."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *map(str, range(60))]
    words += SENTENCES.lower().replace(".", "").replace("{", "").replace("}", "").split()
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder / "bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **sizes)).save_pretrained(
        folder / "bert"
    )
    modules = [Transformer(str(folder / "bert")), Pooling(16, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture
def foxes(folder: Path, tiny: Path, ragkit: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of sixty notes by the tiny encoder."""
    monkeypatch.undo()  # the real encoders, in the folder of the test
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder.parent / "state"))
    (folder / "foxes").mkdir()
    for i in range(60):
        numbers = [(i * step + step) % 60 for step in (1, 7, 11, 13)]
        (folder / "foxes" / f"{i}.txt").write_text(SENTENCES.format(*numbers))
    built = ragkit("index", "build", "foxes", "--encoder", tiny)
    assert built.code == 0, built.err
    return Path("indexes/foxes")


def one_line(result: Result) -> str:
    return " ".join(result.err.replace("│", " ").split())


def test_from_an_index_to_a_model_and_an_index_of_it(ragkit: Command, foxes: Path, folder: Path) -> None:
    quick: list[Any] = ["--max-steps", 4, "--batch", 16]
    done = ragkit("adapt", foxes, "--out", "run", *quick)
    assert done.code == 0, done.err
    *_, last = done.out.splitlines()
    assert "RR@10\t" in done.out and last.startswith("run/model: adapting ")
    if "did not help" in last:  # an untrained model after four steps: either may be
        assert "keep the old encoder" in last
    assert "4 steps on 54 passages" in done.err and "6 passages of 6 documents held out" in done.err
    built = ragkit("index", "build", "foxes", "--out", "indexes/new", "--encoder", "run/model")
    assert built.code == 0 and ragkit("search", "indexes/new", "fox 7", "--mode", "dense").code == 0
    again = ragkit("adapt", foxes, "--out", "run", *quick, "--json")
    assert again.json["verdict"] in last and again.json["steps"] == 4
    frozen = ragkit("adapt", foxes, "--out", "asked", "--method", "crop", "--frozen-passages", *quick)
    assert frozen.code == 0, frozen.err
    adopted = ragkit("index", "adopt", foxes, "asked/model")
    assert adopted.code == 0 and ragkit("search", foxes, "fox 7").code == 0


def test_no_help_is_said_plainly_and_is_no_failure(ragkit: Command, foxes: Path, tiny: Path) -> None:
    done = ragkit("adapt", foxes, "--out", "run", "--max-steps", 1, "--learning-rate", "1e-12")
    assert done.code == 0
    assert f"adapting did not help on passages held out (the difference may be chance): keep the old " \
        f"encoder, {tiny}" in done.out  # fmt: skip
    assert "to use it" not in done.err and Path("run/model").is_dir()


def test_what_cannot_be_is_one_line(ragkit: Command, foxes: Path) -> None:
    unknown = ragkit("adapt", foxes, "--out", "run", "--method", "gpl")
    assert unknown.code == 2 and "ict, crop, deletion, simcse, tsdae" in one_line(unknown)
    unknown = ragkit("adapt", foxes, "--out", "run", "--loss", "infonce")
    assert unknown.code == 2 and "nll, nt-xent, barlow-twins, byol" in one_line(unknown)
    for words, said in (
        ([foxes, "--method", "tsdae", "--frozen-passages"], "use ict or crop"),
        (["nowhere"], "nowhere"),
    ):
        refused = ragkit("adapt", *words, "--out", "run")
        assert refused.code == 1 and len(refused.err.splitlines()) == 1 and said in refused.err
