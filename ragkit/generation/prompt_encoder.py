"""What an encoder-decoder's encoder makes of prompts: those of like length together, known ones not again."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from ragkit.corpus.document import Passage
from ragkit.encoders.batches import padded_length, token_budget_batches
from ragkit.encoders.hashing import hash_json, hash_weights
from ragkit.generation.prompt_cache import Kept, PromptCache, key_of
from ragkit.generation.prompts import Prompt, Render, fit
from ragkit.generation.window import padded
from ragkit.runtime.graph import Graph
from ragkit.runtime.model_graph import ModelGraph
from ragkit.runtime.samples import sample_pairs

TOKENS_AT_ONCE = 2048
"""Tokens that the encoder reads in one batch: states of more do not stay in a processor's cache."""

States = dict[str, Tensor]
"""Fields of the encoder's output, each (prompts, tokens, ...)."""


class PromptEncoder:
    """Encodes prompts by torch or as a graph.

    Args:
        model: the whole model, with its own weights in their own precision.
        computed: what shares them and multiplies as `half.in_precision` says, for torch.
        half: whether that is in bfloat16.
        fields: what is asked for of the encoder's output.
        render, window: how prompts are made, and their most tokens.
        runtime, precision: as in `ragkit.runtime.model_graph.ModelGraph`.

    Raises RagkitError where the runtime or the precision is not to be had.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        computed: PreTrainedModel,
        half: bool,
        tokenizer: Any,
        fields: Sequence[str],
        render: Render,
        window: int,
        runtime: str,
        precision: str,
    ) -> None:
        self._computed, self._half, self._tokenizer = computed, half, tokenizer
        self._fields, self._render, self._window = fields, render, window
        encoder = model.get_encoder()

        def identity() -> str:
            return hash_json([type(encoder).__name__, hash_weights(encoder), encoder.config.to_dict()])

        self._graph = ModelGraph(encoder, fields, identity, self._samples, runtime, precision)

    def __call__(self, prompts: Sequence[Prompt], cache: PromptCache) -> States:
        """The states of all prompts, with zeros up to (prompts, longest prompt, ...)."""
        longest = max(map(len, prompts))
        tokens = [tuple(prompt.inputs["input_ids"]) for prompt in prompts]
        kept = [cache.get(key_of(of_prompt)) for of_prompt in tokens]
        new = [i for i, known in enumerate(kept) if known is None]
        parts = [
            [new[at] for at in part]
            for part in token_budget_batches([len(prompts[i]) for i in new], TOKENS_AT_ONCE)
        ]
        order: list[int] = []
        states: list[States] = []
        computed = self._states([[prompts[i] for i in part] for part in parts])
        for part, found in zip(parts, computed, strict=True):
            order += part
            states.append({name: _of_length(value, longest) for name, value in found.items()})
            for row, i in enumerate(part if cache.limit else ()):
                own = {name: x[row : row + 1, : len(prompts[i])].clone() for name, x in states[-1].items()}
                cache.put(key_of(tokens[i]), Kept(tokens[i], own))
        for i, known in enumerate(kept):
            if known is not None:
                order.append(i)
                states.append({name: _of_length(value, longest) for name, value in known.tensors.items()})
        back = torch.tensor(order, device=self._computed.device).argsort()
        return {name: torch.cat([state[name] for state in states])[back] for name in states[0]}

    def _states(self, parts: Sequence[Sequence[Prompt]]) -> Iterable[States]:
        graph = self._graph.graph(sum(map(len, parts)))
        return self._by_torch(parts) if graph is None else self._by_graph(graph, parts)

    def _by_torch(self, parts: Sequence[Sequence[Prompt]]) -> Iterator[States]:
        encoder, device = self._computed.get_encoder(), self._computed.device
        accepted = inspect.signature(encoder.forward).parameters
        for part in parts:
            inputs = padded(part, self._tokenizer, device)
            given = {name: value for name, value in inputs.items() if name in accepted}
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self._half):
                found = encoder(**given)
            yield {name: found[name].float() if self._half else found[name] for name in self._fields}

    def _by_graph(self, graph: Graph, parts: Sequence[Sequence[Prompt]]) -> Iterator[States]:
        def batches() -> Iterator[list[Any]]:
            for part in parts:
                length = padded_length(max(map(len, part)), graph.multiple, self._window)
                yield [tensor.numpy() for tensor in self._batch(part, self._graph.inputs, length)]

        for outputs in graph.run(batches()):
            yield dict(zip(self._fields, map(torch.from_numpy, outputs), strict=True))

    def _batch(
        self, prompts: Sequence[Prompt], inputs: Sequence[str], length: int | None = None
    ) -> tuple[Tensor, ...]:
        """A graph's inputs. Types of tokens that a tokenizer does not tell are 0, as BERT takes them."""
        found = padded(prompts, self._tokenizer, torch.device("cpu"), length=length)
        return tuple(
            found[name] if name in found else torch.zeros_like(found["input_ids"]) for name in inputs
        )

    def _samples(self, inputs: Sequence[str]) -> Iterator[tuple[Tensor, ...]]:
        for question, text in sample_pairs():
            passage = Passage("", "", text, 0, len(text))
            yield self._batch([fit(self._render, question, passage, self._window)], inputs)


def _of_length(states: Tensor, length: int) -> Tensor:
    """(prompts, tokens, ...) cut, or with zeros, to (prompts, length, ...)."""
    return functional.pad(states, (*[0, 0] * (states.dim() - 2), 0, length - states.shape[1]))
