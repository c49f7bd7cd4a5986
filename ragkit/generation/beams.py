"""Beam search over a mixture of passages: sum_z p(z|x) p(y_t | x, z, y_<t) at every step.

With one passage a group it is the ordinary beam search of each prompt (RAG-Sequence); with all passages of a
question in a group it is RAG-Token's decoding (Lewis et al. 2020, section 2.5). The bookkeeping is that of
transformers' beam search with `early_stopping=False`, so both find the same hypotheses.
"""

import torch
from torch import Tensor

from ragkit.generation.generator import Ending, Hypothesis, Reading

NEVER = float("-inf")


def beam_search(
    reading: Reading,
    log_prior: Tensor,
    ending: Ending,
    *,
    beams: int,
    max_tokens: int,
    min_tokens: int = 0,
) -> list[list[Hypothesis]]:
    """The best hypotheses of every group, best first, at most `beams` of them.

    Args:
        reading: (groups * passages) rows, the passages of a group side by side.
        log_prior: log p(z|x), (groups, passages); -inf leaves a passage out.
        max_tokens: most tokens of an answer, its end included; what reaches it is cut there.
        min_tokens: fewest tokens of an answer, its end included.
    """
    groups, passages = log_prior.shape
    log_prior = log_prior.to(reading.logits.device)
    search = _Finished(groups, beams, ending)
    alive = torch.arange(groups)
    log_p = _mixture(reading.logits.view(groups, 1, passages, -1), log_prior)
    scores = log_p.new_zeros(groups, 1)
    written = torch.zeros(groups, 1, 0, dtype=torch.long, device=log_p.device)
    logs = log_p.new_zeros(groups, 1, 0)
    for step in range(1, max_tokens + 1):
        total = scores[..., None] + _restricted(log_p, ending, step, min_tokens, max_tokens)
        score, parent, token = _best(total, (1 + max(1, len(ending.stops))) * beams)
        written = torch.cat([_rows(written, parent), token[..., None]], dim=-1)
        # The model's own log p, also where the length limits left a token no choice.
        own = log_p.flatten(1).gather(1, parent * log_p.shape[-1] + token)
        logs = torch.cat([_rows(logs, parent), own[..., None]], dim=-1)
        ended = torch.isin(token, torch.tensor(ending.stops, device=token.device)) | (step == max_tokens)
        search.add(
            alive, written, logs, score, ended & (torch.arange(score.shape[1], device=token.device) < beams)
        )
        scores, keep = score.masked_fill(ended, NEVER).topk(min(beams, score.shape[1]))
        keep_going = search.can_improve(alive, scores[:, 0], step) & (step < max_tokens)
        if not keep_going.any():
            break
        parent, written, logs = parent.gather(1, keep), _rows(written, keep), _rows(logs, keep)
        going = keep_going.nonzero()[:, 0]
        source = (torch.arange(len(alive), device=parent.device)[:, None] * total.shape[1] + parent)[going]
        rows = (source[..., None] * passages + torch.arange(passages, device=parent.device)).flatten()
        if step == 1 or scores[going].shape != total.shape[:2]:
            reading = reading.select(rows)
        elif not torch.equal(rows, torch.arange(len(rows), device=rows.device)):
            reading.reorder(rows)
        logs = logs[going]
        alive, scores, written, log_prior = (
            alive[going.cpu()],
            scores[going],
            written[going],
            log_prior[going],
        )
        logits = reading.extend(written[..., -1].repeat_interleave(passages, dim=1).reshape(-1, 1))
        log_p = _mixture(logits.view(len(alive), scores.shape[1], passages, -1), log_prior)
    return search.hypotheses()


def _mixture(logits: Tensor, log_prior: Tensor) -> Tensor:
    """(groups, beams, passages, vocabulary), (groups, passages) -> log p, (groups, beams, vocabulary)."""
    log_p = torch.log_softmax(logits, dim=-1)
    if log_prior.shape[1] == 1:
        return log_p[:, :, 0]
    return torch.logsumexp(log_p + log_prior[:, None, :, None].to(log_p.dtype), dim=2)


def _restricted(log_p: Tensor, ending: Ending, step: int, min_tokens: int, max_tokens: int) -> Tensor:
    stops = list(ending.stops)
    if step == max_tokens and ending.forced is not None:
        log_p = torch.full_like(log_p, NEVER)
        log_p[..., ending.forced] = 0.0
    elif step < min_tokens:
        log_p = log_p.clone()
        log_p[..., stops] = NEVER
    return log_p


def _best(total: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, beams and tokens of the best continuations, (groups, n), best first."""
    vocabulary = total.shape[-1]
    flat = total.flatten(1)
    score, at = flat.topk(min(most, flat.shape[1]))
    return score, at // vocabulary, at % vocabulary


def _rows(written: Tensor, beams: Tensor) -> Tensor:
    return written.gather(1, beams[..., None].expand(-1, -1, written.shape[-1]))


class _Finished:
    """The best finished hypotheses of every group, ranked by log p / length ** length_penalty."""

    def __init__(self, groups: int, beams: int, ending: Ending) -> None:
        self.found: list[list[tuple[float, Hypothesis]]] = [[] for _ in range(groups)]
        self.beams = beams
        self.ending = ending

    def add(self, groups: Tensor, written: Tensor, logs: Tensor, scores: Tensor, finished: Tensor) -> None:
        length = self._length(written.shape[-1])
        values = scores.tolist()
        for row, rank in finished.nonzero().tolist():
            if values[row][rank] > NEVER:
                found = Hypothesis(tuple(written[row, rank].tolist()), tuple(logs[row, rank].tolist()))
                self.found[int(groups[row])].append((values[row][rank] / length, found))
        for group in groups.tolist():
            ranked = sorted(self.found[group], key=lambda entry: -entry[0])[: self.beams]
            self.found[group] = [entry for entry in ranked if entry[0] >= ranked[0][0] - self.ending.margin]

    def can_improve(self, groups: Tensor, best_running: Tensor, step: int) -> Tensor:
        """Whether the best beam of a group could still displace the worst of its finished hypotheses."""
        best = [value / self._length(step) for value in best_running.tolist()]
        return torch.tensor(
            [value > self._least(group) for value, group in zip(best, groups.tolist(), strict=True)],
            device=best_running.device,
        )

    def _least(self, group: int) -> float:
        """What a hypothesis of the group must exceed to be kept."""
        found = self.found[group]
        if not found:
            return NEVER
        worst = found[-1][0] if len(found) == self.beams else NEVER
        return max(worst, found[0][0] - self.ending.margin)

    def hypotheses(self) -> list[list[Hypothesis]]:
        return [[hypothesis for _, hypothesis in found] for found in self.found]

    def _length(self, tokens: int) -> float:
        return float((tokens + self.ending.counted) ** self.ending.length_penalty)
