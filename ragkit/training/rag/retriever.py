"""The passages of a step: found with the present question vectors, prompts laid ready for the generator."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ragkit.encoders.batches import token_budget_batches
from ragkit.encoders.sentence import passage_text
from ragkit.generation.prompts import fit
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.generation.window import padded
from ragkit.retrieval.index import Index
from ragkit.training.rag.model import Features, Retrieved


class Retriever:
    """Dense search on an index that stays as it is, with the exact vectors that it was built from.

    Args:
        k: passages a question, fewer where the index holds fewer.
        max_tokens: of a prompt; the passage is cut there.
        batch_tokens: of the prompts that the generator reads at once.
        preprocess: texts of passages to the features of their tower, where that is trained.
    """

    def __init__(
        self,
        index: Index,
        generator: Seq2SeqGenerator,
        k: int,
        max_tokens: int,
        batch_tokens: int,
        preprocess: Callable[[Sequence[str]], Features] | None = None,
    ) -> None:
        self.index, self._generator, self._preprocess = index, generator, preprocess
        self._k = min(k, len(index))
        self._window = min(max_tokens, generator.window)
        self._batch_tokens = batch_tokens
        self._vectors = index.passage_vectors()

    def find(self, questions: Sequence[str], vectors: Tensor) -> Retrieved:
        """The k passages of highest inner product with each question's vector, (b, dimension)."""
        device = vectors.device
        _, rows = self.index.dense_candidates(vectors.float().cpu().numpy(), self._k)
        passages = self.index.passages(rows.ravel())
        asked = [question for question in questions for _ in range(self._k)]
        prompts = [
            fit(self._generator.render, question, passage, self._window)
            for question, passage in zip(asked, passages, strict=True)
        ]
        parts = []
        for pairs in token_budget_batches([len(prompt) for prompt in prompts], self._batch_tokens):
            inputs = padded([prompts[pair] for pair in pairs], self._generator.tokenizer, device)
            parts.append((torch.tensor(pairs, device=device), inputs))
        of_passages: Tensor | Features
        if self._preprocess is not None:
            of_passages = self._preprocess([passage_text(p.title, p.text) for p in passages])
        else:
            stored = torch.from_numpy(self._vectors(rows.ravel())).view(*rows.shape, -1)
            of_passages = stored.to(device, vectors.dtype)
        return Retrieved(torch.from_numpy(rows).to(device), of_passages, parts)
