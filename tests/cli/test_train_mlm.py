"""`ragkit train mlm`: pretrain on documents, then adapt on an index."""

from pathlib import Path

from command_line import Command


def test_what_was_pretrained_is_adapted_to_an_index(ragkit: Command, indexed: Path, folder: Path) -> None:
    text = " ".join(f"The loop number {i} ends here. A break leaves it at once." for i in range(60))
    (folder / "book.txt").write_text(text)
    small = ("--max-tokens", 32, "--batch-tokens", 256, "--json")
    new = ("--vocabulary", 200, "--layers", 1, "--width", 64, "--accumulate", 2, "--max-steps", 2)
    first = ragkit("train", "mlm", "book.txt", "--out", "run", *new, *small)
    assert first.code == 0, first.err
    assert first.json["steps"] == 2 and first.json["scores"]["perplexity"] > 1
    assert (folder / "run" / "curve.png").exists()
    more = ("--model", "run/model", "--whole-words", "--max-steps", 1)
    adapted = ragkit("train", "mlm", "book.txt", indexed, "--out", "more", *more, *small)
    assert adapted.code == 0, adapted.err
    assert (folder / "more" / "model" / "model.safetensors").exists()


def test_what_cannot_be_trained_is_one_line(ragkit: Command, folder: Path) -> None:
    (folder / "empty.txt").write_text("")
    for wrong in (("empty.txt",), ("nowhere.txt",), ("empty.txt", "--model", "nowhere")):
        result = ragkit("train", "mlm", *wrong, "--out", "run")
        assert result.code == 1 and len(result.err.strip().splitlines()) == 1, result.err
