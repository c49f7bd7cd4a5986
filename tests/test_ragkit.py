import subprocess
import sys

import pytest

import ragkit


@pytest.mark.parametrize("name", ragkit.__all__)
def test_public_names_are_found(name: str) -> None:
    assert getattr(ragkit, name).__name__ == name
    assert name in dir(ragkit)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = ragkit.no_such_thing


def test_importing_ragkit_imports_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "sentence_transformers", "faiss", "datasets", "bm25s", "numpy", "scipy"]
    program = f"import sys, ragkit; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
