"""From what a user names to a generator or a reader."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.encoders.hub import loading, model_folder, whole_model
from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO

if TYPE_CHECKING:
    from ragkit.generation.generator import Generator

PACKAGED = "packaged"
WEIGHTS = Path(__file__).parents[1] / "weights"


def load_generator(
    spec: str | Path = PACKAGED, precision: str = AUTO, cache_bytes: int = 0, runtime: str = AUTO
) -> "Generator":
    """The generator that `spec` names, with float32 weights, on a GPU where there is one.

    - "packaged": the pointer-generator that ships with ragkit;
    - a folder or hub id of any encoder-decoder or decoder-only language model of transformers;
    - a GGUF file (path ending in .gguf), for decoder-only models.

    Args:
        precision: that it multiplies in, as in `half.in_precision`; int8 for an encoder-decoder's encoder.
        cache_bytes: of what it made of prompts, kept for the next question over the same passages.
        runtime: of an encoder-decoder's encoder, see `Seq2SeqGenerator`.

    Raises RagkitError where there is no such model, runtime or precision, or the model does not load.
    """
    options: dict[str, Any] = {"precision": precision, "cache_bytes": cache_bytes}
    if str(spec).endswith(".gguf"):
        _check_decoder_only(runtime)
        return _gguf(Path(spec).expanduser(), options)
    folder = _packaged("generator") if str(spec) == PACKAGED else model_folder(spec)
    with loading(spec, "a model"):
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        import ragkit.generation.pointer_generator  # noqa: F401  (registers its configuration)
        from ragkit.generation.causal import CausalGenerator
        from ragkit.generation.seq2seq import Seq2SeqGenerator

        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if config.is_encoder_decoder:
            return Seq2SeqGenerator(
                _model(AutoModelForSeq2SeqLM, folder), tokenizer, runtime=runtime, **options
            )
        _check_decoder_only(runtime)
        return CausalGenerator(_model(AutoModelForCausalLM, folder), tokenizer, **options)


def load_reader(spec: str | Path = PACKAGED) -> tuple[Any, Any]:
    """(model, tokenizer) of the extractive reader that `spec` names, in float32 and evaluation mode.

    "packaged" is the reader that ships with ragkit; else a folder or hub id of a model with a
    question-answering head.

    Raises RagkitError where there is no such model or it does not load.
    """
    folder = _packaged("reader") if str(spec) == PACKAGED else model_folder(spec)
    with loading(spec, "a model"):
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        model = whole_model(AutoModelForQuestionAnswering, folder).to(_device()).eval()
        return model, AutoTokenizer.from_pretrained(folder)


def _check_decoder_only(runtime: str) -> None:
    if runtime not in (AUTO, "torch"):
        raise RagkitError(f"a decoder-only model is computed by torch, not {runtime}")


def _gguf(path: Path, options: dict[str, Any]) -> "Generator":
    if not path.is_file():
        raise RagkitError(f"no such GGUF file: {path}")
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError as error:
        raise RagkitError("GGUF files need one package more: pip install 'ragkit[gguf]'") from error
    with loading(path, "a model"):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from ragkit.generation.causal import CausalGenerator

        where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        tokenizer = AutoTokenizer.from_pretrained(**where)
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        return CausalGenerator(model.to(_device()), tokenizer, **options)


def _model(auto: Any, folder: Path) -> Any:
    """Unlike `whole_model`: a generator may lack weights by right, those that are tied to others and poolers
    that nothing asks."""
    import torch

    from ragkit.models.compress.stored_model import load_stored, stored_kind

    if stored_kind(folder):
        model = load_stored(auto, folder)
    else:
        model = auto.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return model.to(_device())


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _packaged(name: str) -> Path:
    folder = WEIGHTS / name
    if not (folder / "config.json").is_file():
        raise RagkitError(f"the packaged {name} is missing from {folder}: reinstall ragkit, or name a model")
    return folder
