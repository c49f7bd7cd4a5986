from pathlib import Path
from typing import Any

import pytest
import torch

from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.errors import RagkitError


def test_the_packaged_encoder(packaged: SentenceEncoder) -> None:
    passport = packaged.passport()
    assert (passport.name, passport.dimension, passport.similarity) == ("packaged", 384, "cosine")
    capital, file = packaged.encode_questions(["What is the capital of France?", "How do I close a file?"])
    paris, close = packaged.encode_passages([("Paris", "The capital city of France."), ("IO", "f.close()")])
    assert capital @ paris > capital @ close and file @ close > file @ paris


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("./no/such/folder", "no such model folder"),
        ("/no/such/folder", "no such model folder"),
        ("someone/no-such-model", "HF_HUB_OFFLINE"),
        ("dpr:only-one", "two checkpoints"),
        ("dpr:,context", "two checkpoints"),
    ],
)
def test_what_does_not_exist_is_one_line(monkeypatch: pytest.MonkeyPatch, spec: str, said: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RagkitError, match=said) as error:
        load_encoder(spec)
    assert "\n" not in str(error.value) and spec.removeprefix("dpr:").split(",")[0] in str(error.value)


def test_a_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def unreachable(repository: str, **options: Any) -> str:
        asked.append(options.get("local_files_only", False))
        raise LocalEntryNotFoundError("Connection refused\nand more")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(RagkitError, match="out of reach") as error:
        load_encoder("someone/no-such-model")
    assert "\n" not in str(error.value)
    assert asked == [True, False], "first the cache, then the hub, each once"


def test_a_hub_id_is_loaded_from_the_cache(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    folder = tiny.sentence("cached")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repository, **options: str(folder))
    encoder = load_encoder("someone/model")
    assert encoder.passport().name == "someone/model"


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(RagkitError, match="is a file"):
        load_encoder(tmp_path / "model.safetensors")


def test_an_empty_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match="does not load"):
        load_encoder(tmp_path)


def test_pickled_weights_are_refused_before_anything_is_read(tiny: Any) -> None:
    folder = tiny.sentence("pickled")
    safe = next(folder.rglob("model.safetensors"))
    torch.save({}, safe.with_name("pytorch_model.bin"))
    load_encoder(folder)  # safetensors lie beside it, so the pickle is never opened
    safe.unlink()
    with pytest.raises(RagkitError, match="pickled"):
        load_encoder(folder)
