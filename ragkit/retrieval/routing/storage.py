"""A router on disk: a folder of router.json, which people may read and edit, and tensors.safetensors."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ragkit.encoders.passport import Passport
from ragkit.errors import RagkitError
from ragkit.retrieval.routing.classifiers import Classifier, Linear, Matching, Method
from ragkit.retrieval.routing.router import Router
from ragkit.retrieval.routing.threshold import Threshold

RECORD, TENSORS = "router.json", "tensors.safetensors"
FORMAT = 1


def save_router(router: Router, path: Path) -> None:
    """Writes the folder; the record, which carries the tensors' SHA-256, comes last.

    Raises RagkitError where `path` holds something else, or cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise RagkitError(f"{path} is a file: name a folder for the router")
    if path.is_dir() and any(path.iterdir()) and not (path / RECORD).is_file():
        raise RagkitError(f"{path} holds something else than a router: name another folder")
    of = router.classifier
    tensors: dict[str, Any] = {"examples": router.examples}
    if isinstance(of, Linear):
        tensors |= {"weights": of.weights, "bias": of.bias}
    else:
        tensors |= {"labels": of.labels}
    content = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    record = {
        "format": FORMAT,
        "method": router.method,
        "labels": list(router.labels),
        "indexes": router.indexes,
        "threshold": asdict(router.threshold),
        "encoder": router.passport.to_json(),
        "tensors": hashlib.sha256(content).hexdigest(),
    }
    try:
        path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        for name, whole in ((TENSORS, content), (RECORD, text.encode())):
            aside = path / f".{name}.tmp"
            aside.write_bytes(whole)
            aside.replace(path / name)
    except OSError as error:
        raise RagkitError(f"cannot write the router {path}: {error.strerror or error}") from error


def load_router(path: Path) -> Router:
    """Raises RagkitError where there is no router, or it is damaged."""
    if not (path / RECORD).is_file():
        raise RagkitError(f"no router in {path}: `ragkit route fit EXAMPLES --out {path}` makes one")
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        content = (path / TENSORS).read_bytes()
        if record["format"] != FORMAT:
            raise ValueError(f"its format is {record['format']!r}, this version reads {FORMAT}")
        if hashlib.sha256(content).hexdigest() != record["tensors"]:
            raise ValueError(f"{TENSORS} is not the one that {RECORD} was written with")
        labels, method = [str(label) for label in record["labels"]], record["method"]
        if method not in get_args(Method):
            raise ValueError(f"no method {method!r}")
        tensors = load(content)
        return Router(
            labels, method, _classifier(tensors, method, len(labels)), tensors["examples"],
            Threshold(**record["threshold"]), Passport.from_json(record["encoder"]),
            {str(label): str(index) for label, index in record["indexes"].items()}, path=path,
        )  # fmt: skip
    except OSError as error:
        raise RagkitError(f"cannot read the router {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError, RagkitError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise RagkitError(f"the router {path} is damaged ({what}): fit it anew") from error


def _classifier(tensors: Mapping[str, Any], method: Method, count: int) -> Classifier:
    examples = tensors["examples"]
    if method == "matching":
        labels = tensors["labels"]
        if labels.shape != examples.shape[:1] or not np.array_equal(np.unique(labels), np.arange(count)):
            raise ValueError(f"labels of shape {labels.shape} for {len(examples)} examples")
        return Matching(examples, labels)
    weights, bias = tensors["weights"], tensors["bias"]
    if weights.shape != (count, examples.shape[1]) or bias.shape != (count,):
        raise ValueError(f"weights of shape {weights.shape} for {count} labels")
    return Linear(weights, bias)
