"""The sentence's vector from [CLS]: tanh(W h_0 + b) (Devlin et al. 2019, 3.1). Row 98."""

from torch import Tensor, nn


class Pooler(nn.Module):
    """(batch, tokens, width) to (batch, width): what the first token, [CLS], has gathered."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.dense(hidden[:, 0]).tanh()
