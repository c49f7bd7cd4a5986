"""WordPiece: cut a word into the longest pieces of a vocabulary from the left, w = p_1 ##p_2 … ##p_n
(Schuster & Nakajima 2012; Devlin et al. 2019). Row 80."""

from collections.abc import Mapping, Sequence


class WordPiece:
    """Pieces of words that are already split at spaces and punctuation.

    Args:
        vocabulary: piece -> number; pieces inside a word begin with `##`.
        longest: words of more characters are unknown.
    """

    def __init__(self, vocabulary: Mapping[str, int], unknown: str = "[UNK]", longest: int = 100) -> None:
        self.vocabulary, self.unknown, self.longest = vocabulary, unknown, longest
        self._piece = {number: piece for piece, number in vocabulary.items()}

    def encode(self, words: Sequence[str]) -> list[int]:
        """Numbers of all pieces; a word with a part that no piece covers is one unknown."""
        return [number for word in words for number in self._split(word)]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """The words again."""
        words: list[str] = []
        for piece in (self._piece[i] for i in ids):
            if piece.startswith("##") and words:
                words[-1] += piece[2:]
            else:
                words.append(piece)
        return words

    def _split(self, word: str) -> list[int]:
        unknown = [self.vocabulary[self.unknown]]
        if len(word) > self.longest:
            return unknown
        pieces: list[int] = []
        begin = 0
        while begin < len(word):
            prefix = "##" if begin else ""
            ends = range(len(word), begin, -1)
            end = next((e for e in ends if prefix + word[begin:e] in self.vocabulary), None)
            if end is None:
                return unknown
            pieces.append(self.vocabulary[prefix + word[begin:end]])
            begin = end
        return pieces
