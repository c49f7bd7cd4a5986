"""Softmax over a large vocabulary, in full and sampled. Row 83.

Full: -log p(w|h) = -(h·e_w + b_w) + log Σ_v exp(h·e_v + b_v). Sampled (Jean et al. 2015): the sum runs over
the true word and S words drawn from Q, the score of a drawn one lowered by log(S·Q(v)). Its expectation is
the full sum, and the gradient tends to the full one. Q is log-uniform, Q(v) = log((v+2)/(v+1)) / log(V+1):
words are numbered from the most frequent one.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def log_uniform(vocabulary: int) -> Tensor:
    """(vocabulary,) probabilities of Zipf's law, the first word's largest."""
    ranks = torch.arange(vocabulary, dtype=torch.float64)
    return torch.log1p(1 / (ranks + 1)) / math.log(vocabulary + 1)


def sampled_softmax_loss(
    hidden: Tensor, truth: Tensor, table: Tensor, bias: Tensor, drawn: Tensor, log_expected: Tensor
) -> Tensor:
    """Mean negative log-likelihood of the true words among the drawn ones, in nats.

    Args:
        hidden: (n, width); truth: (n,) word numbers.
        table, bias: (vocabulary, width) and (vocabulary,).
        drawn: (samples,) word numbers, the same for all rows.
        log_expected: (vocabulary,) log of how often each word is expected among the drawn.
    """
    own = (hidden * table[truth]).sum(-1) + bias[truth]
    others = hidden @ table[drawn].mT + bias[drawn] - log_expected[drawn]
    # The true word stands in the sum already.
    others = others.masked_fill(drawn == truth[:, None], float("-inf"))
    return (torch.cat([own[:, None], others], dim=1).logsumexp(1) - own).mean()


class VocabularySoftmax(nn.Module):
    """p(word | hidden); with `samples` the training loss is the sampled one, evaluation is always full."""

    log_expected: Tensor

    def __init__(self, width: int, vocabulary: int, samples: int | None = None) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocabulary, width) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.samples = samples
        expected = log_uniform(vocabulary) * (samples or 1)
        self.register_buffer("log_expected", expected.log().to(self.table.dtype), persistent=False)

    def forward(self, hidden: Tensor, truth: Tensor) -> Tensor:
        """Mean negative log-likelihood of `truth` (n,) given `hidden` (n, width), in nats."""
        if self.samples is None or not self.training:
            return functional.cross_entropy(functional.linear(hidden, self.table, self.bias), truth)
        drawn = torch.multinomial(self.log_expected.float().exp(), self.samples, replacement=True)
        return sampled_softmax_loss(hidden, truth, self.table, self.bias, drawn, self.log_expected)
