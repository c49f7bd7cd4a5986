"""A layer of an LSTM over a whole sequence as one operation with its own backward pass. Row 82.

Autograd keeps some fifteen nodes a token and adds up the gradients of U and P token by token. Here the
backward pass is backpropagation through time written out (row 76): those gradients are one matrix product
over all tokens.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_through_sigmoid = torch.ops.aten.sigmoid_backward
_through_tanh = torch.ops.aten.tanh_backward
"""A slope times the derivative at an output."""


class Clips(NamedTuple):
    """Largest absolute values of the cell c and of the output h; None: any."""

    cell: float | None = None
    output: float | None = None


class LstmWeights(NamedTuple):
    """W (4·cells, width) and its bias, U (4·cells, outputs), P (outputs, cells) or None; gates i, f, g, o."""

    input: Tensor
    bias: Tensor
    recurrent: Tensor
    projection: Tensor | None


class LstmRecurrence(torch.autograd.Function):
    """i, f, o = σ(W x + b + U h), g = tanh(W x + b + U h); c ← f·c + i·g; h ← P (o·tanh c), both clipped.

    The rows of a batch are sorted by their length, so that those still read at a token are the first ones:
    no token of padding is computed and no mask is needed.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, reading: list[int], clips: Clips, *given: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (tokens, batch, outputs), zero from the token on that a row does not read; and the h and c
        that each row ends with.

        Args:
            x: (tokens, batch, width); h, c: (batch, outputs) and (batch, cells), to start from.
            reading: for each token how many rows read it, falling.
            given: `LstmWeights`.
        """
        weights = LstmWeights(*given)  # type: ignore[arg-type]
        (tokens, batch), cells = x.shape[:2], c.shape[1]
        hs, cs = h.new_empty(1 + tokens, *h.shape), c.new_empty(1 + tokens, *c.shape)
        hs[0], cs[0] = h, c
        gates = torch.addmm(weights.bias, x.flatten(0, 1), weights.input.mT).unflatten(0, (tokens, batch))
        tanhs, shown = torch.empty_like(cs[1:]), torch.empty_like(c)
        recurrent = weights.recurrent.mT.contiguous()  # multiplied with as often as there are tokens
        for t, n in enumerate(reading):
            now, h, c, tanh = gates[t, :n], hs[t + 1, :n], cs[t + 1, :n], tanhs[t, :n]
            now.addmm_(hs[t, :n], recurrent)
            i, f, g, o = now.chunk(4, dim=-1)
            now[:, : 2 * cells].sigmoid_()
            g.tanh_()
            o.sigmoid_()
            torch.mul(f, cs[t, :n], out=c).addcmul_(i, g)
            if clips.cell is not None:
                c.clamp_(-clips.cell, clips.cell)
            torch.tanh(c, out=tanh)
            if weights.projection is None:
                torch.mul(o, tanh, out=h)
            else:
                torch.mm(torch.mul(o, tanh, out=shown[:n]), weights.projection.mT, out=h)
            if clips.output is not None:
                h.clamp_(-clips.output, clips.output)
            if n < batch:
                for unread in (gates[t, n:], hs[t + 1, n:], cs[t + 1, n:], tanhs[t, n:]):
                    unread.zero_()
        ctx.save_for_backward(x, hs, cs, gates, tanhs, *given)
        ctx.reading, ctx.clips = reading, clips
        ctx.set_materialize_grads(False)
        ends, rows = _ends(reading, batch), torch.arange(batch)
        return hs[1:].clone(), hs[ends, rows], cs[ends, rows]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor | None, ...]:
        x, hs, cs, gates, tanhs, *given = ctx.saved_tensors
        weights, clips = LstmWeights(*given), ctx.clips
        after, dh, dc = slopes
        dh = torch.zeros_like(hs[0]) if dh is None else dh.clone()
        dc = torch.zeros_like(cs[0]) if dc is None else dc.clone()
        dhs = torch.zeros_like(hs[1:]) if after is None else after.clone()
        # What needs no recurrence, for all tokens at once and 0 where nothing was read: what i, f, g get of
        # c's slope, what o and c get of that of o·tanh c. And where clipping lets nothing through.
        i, f, g, o = gates.chunk(4, dim=-1)
        dgates, dcs = torch.empty_like(gates), _through_tanh(o, tanhs)
        for by, gate, through, out in zip(
            (g, cs[:-1], i, tanhs), (i, f, g, o),
            (_through_sigmoid, _through_sigmoid, _through_tanh, _through_sigmoid),
            dgates.chunk(4, dim=-1), strict=True,
        ):  # fmt: skip
            out.copy_(through(by, gate))
        shut_h = None if clips.output is None else hs[1:].abs() >= clips.output
        shut_c = None if clips.cell is None else cs[1:].abs() >= clips.cell
        for t, n in reversed(list(enumerate(ctx.reading))):
            now, cell, gate = dhs[t, :n], dc[:n], dgates[t, :n].unflatten(1, (4, -1))
            now += dh[:n]
            if shut_h is not None:
                now.masked_fill_(shut_h[t, :n], 0)
            dm = now if weights.projection is None else now @ weights.projection
            cell.addcmul_(dm, dcs[t, :n])
            if shut_c is not None:
                cell.masked_fill_(shut_c[t, :n], 0)
            gate[:, :3] *= cell[:, None]
            gate[:, 3] *= dm
            cell *= f[t, :n]
            torch.mm(dgates[t, :n], weights.recurrent, out=dh[:n])
        flat = dgates.flatten(0, 1)
        dx = (flat @ weights.input).unflatten(0, x.shape[:2])
        shown = o * tanhs
        return (
            dx, dh, dc, None, None, flat.mT @ x.flatten(0, 1), flat.sum(0), flat.mT @ hs[:-1].flatten(0, 1),
            None if weights.projection is None else dhs.flatten(0, 1).mT @ shown.flatten(0, 1),
        )  # fmt: skip


def _ends(reading: list[int], batch: int) -> Tensor:
    """(batch,) how many tokens each row reads."""
    return (torch.tensor(reading)[:, None] > torch.arange(batch)).sum(0)
