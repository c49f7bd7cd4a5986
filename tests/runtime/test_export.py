import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.runtime import export
from ragkit.runtime.export import exported, graph_path
from ragkit.runtime.graph import open_graph
from ragkit.runtime.int8 import input_ranges
from ragkit.runtime.precision import PRECISIONS, GraphRuntime


class Network(nn.Module):
    """Embeds tokens, mixes them by a linear layer and a nonlinearity, and averages over the mask."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.words = nn.Embedding(50, width)
        self.inner = nn.Linear(width, 4 * width)
        self.outer = nn.Linear(4 * width, width, bias=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        found = self.outer(nn.functional.gelu(self.inner(self.words(ids))))
        weights = mask.unsqueeze(-1).to(found.dtype)
        return (found * weights).sum(1) / weights.sum(1)


def sample(length: int, seed: int = 0, texts: int = 1) -> tuple[Tensor, Tensor]:
    ids = torch.randint(50, (texts, length), generator=torch.Generator().manual_seed(seed))
    return ids, torch.ones_like(ids)


def samples() -> Iterator[tuple[Tensor, Tensor]]:
    return (sample(length, length) for length in (3, 9, 1, 20, 14, 30))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module", params=["openvino", "onnx"])
def runtime(request: pytest.FixtureRequest) -> GraphRuntime:
    return request.param


@pytest.fixture(scope="module")
def full_cache(
    network: Network, runtime: GraphRuntime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A cache with the graph of `network`."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        exported(network, "one", "fp32", samples, runtime)
    yield folder


@pytest.fixture
def graph_file(
    full_cache: Path, network: Network, runtime: GraphRuntime, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """In `full_cache`, which is the user's for the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(full_cache))
    return graph_path("one", "fp32", runtime)


def arrays(*inputs: tuple[Tensor, Tensor]) -> list[list[np.ndarray]]:
    return [[x.numpy() for x in one] for one in inputs]


def test_graph_computes_what_the_network_does_in_the_order_of_the_batches(
    graph_file: Path, network: Network, runtime: GraphRuntime
) -> None:
    batches = [sample(n, n, texts) for n, texts in ((5, 3), (17, 1), (2, 8), (40, 2), (1, 1))]
    graph = open_graph(graph_file, runtime, "fp32", threads=2)
    with torch.inference_mode():
        wanted = [network(*batch).numpy() for batch in batches]
    for found, right in zip(graph.run(iter(arrays(*batches))), wanted, strict=True):
        np.testing.assert_allclose(found[0], right, atol=1e-5)
    np.testing.assert_allclose(graph.run_one(arrays(batches[0])[0])[0], wanted[0], atol=1e-5)
    assert graph.run([]) == []


def test_int8_is_near_and_not_the_same(network: Network, runtime: GraphRuntime) -> None:
    path = exported(network, "one", "int8", samples, runtime)
    graph = open_graph(path, runtime, "int8", threads=1)
    assert [file.suffix for file in path.parent.iterdir() if file.suffix != ".bin"] == [path.suffix]
    batch = sample(12, 3, 16)
    with torch.inference_mode():
        right = network(*batch).numpy()
    (found,) = graph.run_one(arrays(batch)[0])
    cosine = (found * right).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(right, axis=1)
    assert cosine.min() > 0.995 and np.abs(found - right).max() > 1e-5


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_ranges_hold_every_input_and_zero(shift: float, scale: float) -> None:
    layer = nn.Sequential(nn.Linear(4, 2))
    inputs = [(torch.randn(3, 4) * scale + shift,) for _ in range(3)]
    low, high = input_ranges(layer, inputs)["0"]
    every = torch.cat([x for (x,) in inputs])
    assert low == min(0.0, float(every.min())) and high == max(0.0, float(every.max()))


def test_it_is_written_once_and_named_by_what_it_was_made_from(
    graph_file: Path, network: Network, runtime: GraphRuntime
) -> None:
    written = graph_file.stat().st_mtime_ns
    assert exported(network, "one", "bf16", samples, runtime) == graph_file
    assert graph_file.stat().st_mtime_ns == written
    names = {
        graph_path(identity, precision, other)
        for identity in ("one", "two")
        for precision in PRECISIONS
        for other in ("openvino", "onnx")
    }
    assert len(names) == 8  # fp32 and bf16 are one file


def test_a_size_that_tracing_froze_is_found_out() -> None:
    class Frozen(Network):
        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            return super().forward(ids, mask) * float(ids.shape[1])

    with pytest.raises(RagkitError, match="computes something else"):
        exported(Frozen().eval(), "frozen", "fp32", samples)
    assert not list(export._folder().glob("*"))  # nothing is left behind


def test_a_network_that_cannot_be_converted_is_a_line(runtime: GraphRuntime) -> None:
    class Strange(Network):
        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            raise ValueError("not today")

    with pytest.raises(RagkitError, match=r"cannot be exported.*use torch"):
        exported(Strange(), "strange", "fp32", samples, runtime)


def test_no_room_for_the_graph_is_a_line(network: Network, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(RagkitError, match="cannot write the exported model"):
        exported(network, "one", "fp32", samples)
    assert stat.S_ISREG((tmp_path / "cache").stat().st_mode)


def test_a_damaged_graph_is_a_line(graph_file: Path, tmp_path: Path, runtime: GraphRuntime) -> None:
    path = shutil.copytree(graph_file.parent, tmp_path / "graph") / graph_file.name
    path.write_text("<net>")
    with pytest.raises(RagkitError, match=rf"damaged.*delete {path.parent}"):
        open_graph(path, runtime, "fp32", threads=1)


def test_nothing_reports_to_the_makers_of_openvino() -> None:
    program = (
        "from ragkit.runtime.openvino_graph import openvino; openvino().convert_model; "
        "from openvino.tools.ovc import telemetry_utils; print(telemetry_utils.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
