"""`ragkit train elmo`, then what is made of it: vectors, an index, a search."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Command

from ragkit.encoders.loading import load_encoder

SMALL = ("--width", 8, "--cells", 16, "--rows", 2, "--row-words", 16, "--vocabulary", 50, "--json")


def test_it_trains_embeds_and_searches(
    ragkit: Command, notes: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragkit.encoders.loading.load_encoder", load_encoder)
    text = " ".join(f"The loop number {i} ends here. A break leaves it at once." for i in range(60))
    (folder / "book.txt").write_text(text)
    trained = ragkit("train", "elmo", "book.txt", "--out", "run", "--half", "--max-steps", 3, *SMALL)
    assert trained.code == 0, trained.err
    assert trained.json["steps"] == 3
    assert {"loss", "perplexity", "unigram_perplexity"} <= trained.json["scores"].keys()
    assert (folder / "run" / "curve.png").exists()
    elmo = "elmo:run/model"
    printed = ragkit("embed", "a loop", "qzxv", "--encoder", elmo)
    assert printed.code == 0, printed.err
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [line["text"] for line in lines] == ["a loop", "qzxv"] and len(lines[0]["vector"]) == 16
    saved = ragkit("embed", "--encoder", elmo, "--out", "v.npy", stdin="qzxv\n\na loop\n")
    assert saved.code == 0, saved.err
    vectors = np.load(folder / "v.npy", allow_pickle=False)
    assert vectors.shape == (3, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[[2, 0]], [line["vector"] for line in lines], atol=1e-5)
    built = ragkit("index", "build", "notes", "--out", "i", "--encoder", elmo)
    assert built.code == 0, built.err
    found = ragkit("search", "i", "turn the cache off", "--mode", "dense", "-k", 3)
    assert found.code == 0 and "cache" in found.out
    other = ragkit("train", "elmo", "book.txt", "--out", "run", "--max-steps", 4, *SMALL)
    assert other.code == 1 and "other settings" in other.err


def test_embed_takes_files_and_towers(ragkit: Command, folder: Path) -> None:
    (folder / "t.txt").write_text("one\ntwo\n")
    by_file, by_text = ragkit("embed", "--file", "t.txt"), ragkit("embed", "one", "two")
    assert by_file.code == 0 and by_file.out == by_text.out and len(by_file.out.splitlines()) == 2
    asked = ragkit("embed", "one", "--questions")
    assert asked.code == 0 and json.loads(asked.out)["text"] == "one"


def test_what_cannot_be_done_is_one_line(ragkit: Command, folder: Path) -> None:
    (folder / "empty.txt").write_text("")
    (folder / "latin.txt").write_bytes(b"caf\xe9\n")
    for code, wrong in (
        (1, ("train", "elmo", "empty.txt", "--out", "run")),
        (1, ("train", "elmo", "nowhere.txt", "--out", "run")),
        (1, ("embed", "--file", "latin.txt")),
        (1, ("embed", "--file", "nowhere.txt")),
        (1, ("embed", "a", "--out", "nowhere/v.npy")),
        (2, ("embed", "a", "--file", "latin.txt")),
        (2, ("embed", "a", "--out", "v.txt")),
    ):
        result = ragkit(*wrong)
        assert result.code == code, (wrong, result.err)
        assert code == 2 or len(result.err.strip().splitlines()) == 1, result.err
    assert not (folder / "v.npy").exists()
