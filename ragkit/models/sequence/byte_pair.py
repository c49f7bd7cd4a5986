"""Byte-pair encoding: merge the most frequent pair of neighbours, again and again (Sennrich et al. 2016),
over bytes, so that any text can be written (Radford et al. 2019). Row 80.

The notes say "encoding (tokenizing)" only. decode(encode(x)) = x for every x.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

_PIECES = re.compile(r"\s?\w+|\s?[^\w\s]+|\s+")
"""Merges do not cross these: a word or a run of punctuation with the space before it, or spaces."""

Pair = tuple[bytes, bytes]


class BytePairEncoding:
    """Tokens are numbered: the 256 bytes, then the result of each merge in order."""

    def __init__(self, merges: Sequence[Pair]) -> None:
        self.merges = list(merges)
        self.vocabulary = [bytes([byte]) for byte in range(256)] + [a + b for a, b in merges]
        self._number = {token: at for at, token in enumerate(self.vocabulary)}
        self._rank = {pair: at for at, pair in enumerate(merges)}

    @classmethod
    def train(cls, texts: Iterable[str], merges: int) -> "BytePairEncoding":
        """Learns at most so many merges; of equally frequent pairs the smaller one is merged first."""
        counts = Counter(piece.encode() for text in texts for piece in _PIECES.findall(text))
        words = {piece: [bytes([byte]) for byte in piece] for piece in counts}
        pairs: Counter[Pair] = Counter()
        where: dict[Pair, set[bytes]] = {}
        for piece, parts in words.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[piece]
                where.setdefault(pair, set()).add(piece)
        learnt: list[Pair] = []
        while len(learnt) < merges and pairs:
            best = min(pairs, key=lambda pair: (-pairs[pair], pair))
            if pairs[best] < 2:
                break
            learnt.append(best)
            for piece in where.pop(best):
                old, new = words[piece], _merged(words[piece], best)
                for pair in pairwise(old):
                    pairs[pair] -= counts[piece]
                for pair in pairwise(new):
                    pairs[pair] += counts[piece]
                    where.setdefault(pair, set()).add(piece)
                words[piece] = new
            pairs = +pairs  # drops the pairs that are gone
        return cls(learnt)

    def encode(self, text: str) -> list[int]:
        """Numbers of the tokens; in each piece the earliest learnt merge is made first."""
        return [self._number[part] for piece in _PIECES.findall(text) for part in self._split(piece.encode())]

    def decode(self, ids: Iterable[int]) -> str:
        """The text; bytes that are no UTF-8, from a sequence cut in a character, become U+FFFD."""
        return b"".join(self.vocabulary[i] for i in ids).decode("utf-8", "replace")

    def _split(self, piece: bytes) -> list[bytes]:
        parts = [bytes([byte]) for byte in piece]
        while len(parts) > 1:
            ranked = [(self._rank.get(pair, len(self.merges)), pair) for pair in pairwise(parts)]
            rank, pair = min(ranked)
            if rank == len(self.merges):
                break
            parts = _merged(parts, pair)
        return parts


def _merged(parts: Sequence[bytes], pair: Pair) -> list[bytes]:
    """The parts with every occurrence of the pair joined, from the left."""
    joined: list[bytes] = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            joined.append(pair[0] + pair[1])
            at += 2
        else:
            joined.append(parts[at])
            at += 1
    return joined
