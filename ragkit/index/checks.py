"""What an index checks before it lets anything in: the encoder, and the folder that it is to live in."""

from pathlib import Path

from ragkit.encoders.encoder import Encoder
from ragkit.errors import RagkitError
from ragkit.index.generations import POINTER, Generation
from ragkit.index.lock import LOCK_FILE
from ragkit.index.writing import CACHE
from ragkit.runtime.precision import AUTO


def resolve_encoder(encoder: str | Path | Encoder, runtime: str = AUTO, precision: str = AUTO) -> Encoder:
    """Loads what is named. Raises RagkitError where there is no such model."""
    if not isinstance(encoder, str | Path):
        return encoder
    from ragkit.encoders.loading import load_encoder

    # A folder is remembered by its full path: the index may be opened from elsewhere.
    return load_encoder(Path(encoder).resolve() if Path(encoder).is_dir() else encoder, runtime, precision)


def encoder_of(generation: Generation) -> Encoder:
    """The encoder of a generation's vectors. Raises RagkitError where it is not the same any more."""
    passport = generation.manifest.passport
    encoder = resolve_encoder(passport.name, *passport.choice)
    refuse_other(encoder, generation)
    return encoder


def tokenizer_of(encoder: Encoder) -> object:
    """What a splitting by tokens counts with; None where the encoder has none."""
    return getattr(encoder, "tokenizer", None)


def refuse_other(encoder: Encoder, generation: Generation) -> None:
    """Raises RagkitError, naming both encoders, where this is not the one of the generation's vectors."""
    if difference := encoder.passport().disagreement(generation.manifest.passport):
        raise RagkitError(f"wrong encoder for the index {generation.index}: {difference}")


def refuse_foreign(out: Path) -> None:
    """An index never goes into a folder that holds something else."""
    if out.exists() and not out.is_dir():
        raise RagkitError(f"{out} is a file: name a folder for the index")
    ours = {CACHE, LOCK_FILE, "generations", POINTER, Path(POINTER).with_suffix(".tmp").name}
    if out.is_dir() and (others := sorted({path.name for path in out.iterdir()} - ours)):
        raise RagkitError(f"{out} holds something else than an index ({others[0]}): name another folder")
