"""The towers of a sentence-transformers model as graphs: how they are named, and which are there already."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ragkit.encoders.hashing import hash_json, hash_weights
from ragkit.encoders.towers import Task, tower
from ragkit.runtime.precision import PACKAGES, GraphRuntime, Precision, installed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ragkit.encoders.forward import GraphForward
    from ragkit.runtime.graph import Graph

TASKS: tuple[Task, ...] = ("query", "document")


class TowerGraphs:
    """Graphs of a model whose weights stay as they are.

    Args:
        features: what the model makes of texts of a task, as sentence-transformers' `preprocess`.
    """

    def __init__(self, model: Any, features: Callable[[Task, Sequence[str]], dict[str, Any]]) -> None:
        self._model, self._features = model, features
        self._sums: dict[tuple[int, ...], str] = {}
        # As long as somebody computes with them: of what was tried, the slower ones go.
        self._open: WeakValueDictionary[tuple[Path, Precision, int], Graph] = WeakValueDictionary()

    def weights(self, network: "nn.Sequential") -> str:
        """The sum of a network's weights, taken once for the same modules: both towers are often one."""
        modules = tuple(id(module) for module in network)
        if modules not in self._sums:
            self._sums[modules] = hash_weights(network)
        return self._sums[modules]

    def identity(self, task: Task) -> str:
        """The sum of all that decides what a tower computes."""
        network = tower(self._model, task)
        return hash_json([self.weights(network), [describe(part) for part in network]])

    def there(self, precision: Precision) -> GraphRuntime | None:
        """A runtime that both towers were exported to on this machine before, the fastest first."""
        from ragkit.runtime.export import graph_path

        for runtime in PACKAGES:
            if installed(runtime) and not (runtime == "onnx" and precision == "bf16"):
                paths = (graph_path(self.identity(task), precision, runtime) for task in TASKS)
                if all(path.is_file() for path in paths):
                    return runtime
        return None

    def forward(
        self, task: Task, runtime: GraphRuntime, precision: Precision, threads: int
    ) -> "GraphForward":
        """A tower as a graph, exported now if it was not before. Raises RagkitError where it cannot be."""
        from ragkit.encoders.forward import Exportable, GraphForward
        from ragkit.runtime.export import exported
        from ragkit.runtime.graph import open_graph

        network = Exportable(tower(self._model, task))
        path = exported(network, self.identity(task), precision, lambda: self._samples(task), runtime)
        if runtime == "onnx" and precision == "bf16":
            precision = "fp32"
        kept = (path, precision, threads)
        graph = self._open.get(kept)
        if graph is None:
            graph = self._open[kept] = open_graph(path, runtime, precision, threads)
        return GraphForward(graph, f"{runtime} {precision} {path.parent.name}")

    def _samples(self, task: Task) -> "Iterator[tuple[Tensor, Tensor]]":
        """Texts that come with ragkit, one by one, the same everywhere: int8's ranges come from them."""
        from ragkit.encoders.forward import Exportable
        from ragkit.runtime.samples import sample_texts

        for text in sample_texts():
            features = self._features(task, [text])
            ids, mask = (features[name] for name in Exportable.inputs)
            yield ids, mask


def describe(module: Any) -> Any:
    """A module's class and settings as JSON: what distinguishes mean pooling from the first token's."""
    settings = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
    parts = {
        name: [describe(part) for part in route] for name, route in getattr(module, "sub_modules", {}).items()
    }
    return [type(module).__name__, settings, parts]
