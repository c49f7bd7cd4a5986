"""ELMo: contextual word vectors, γ Σ_j s_j h_j over the layers of a bidirectional language model
(Peters et al. 2018). Row 86.

The same word in another sentence has another vector; a table of word vectors cannot do that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.sequence.bilm import Bilm, BilmConfig, BiState
from ragkit.models.sequence.characters import BEGIN_SENTENCE, END_SENTENCE, sentence_characters
from ragkit.models.sequence.layer_mix import LayerMix

UNKNOWN = "<UNK>"


class Elmo(nn.Module):
    """A bidirectional language model, the words it predicts, and a layer mix.

    Args:
        vocabulary: the predicted words, frequent ones first; the ends of sentences and `<UNK>` among them.
    """

    def __init__(self, config: BilmConfig, vocabulary: Sequence[str] = ()) -> None:
        super().__init__()
        if (config.vocabulary or 0) != len(vocabulary):
            raise ValueError(f"{len(vocabulary)} words for a softmax over {config.vocabulary or 0}")
        if vocabulary and not {BEGIN_SENTENCE, END_SENTENCE, UNKNOWN} <= set(vocabulary):
            raise ValueError(f"the vocabulary lacks {BEGIN_SENTENCE}, {END_SENTENCE} or {UNKNOWN}")
        self.bilm = Bilm(config)
        self.mix = LayerMix(1 + config.layers)
        self.vocabulary = list(vocabulary)
        self._number = {word: at for at, word in enumerate(vocabulary)}

    @property
    def dimension(self) -> int:
        return 2 * self.bilm.config.width

    def layers(
        self, sentences: Sequence[Sequence[str]], state: BiState | None = None
    ) -> tuple[list[Tensor], BiState]:
        """For each sentence (1 + layers, words, dimension), without its ends; and the state to read on from.

        Any word has a vector. An empty sentence has 0 rows.
        """
        characters, lengths = sentence_characters(sentences, self.bilm.config.word_length)
        device = next(self.parameters()).device
        hidden, state = self.bilm(characters.to(device), lengths.to(device), state)
        return [hidden[:, row, 1 : n - 1] for row, n in enumerate(lengths.tolist())], state

    def forward(self, sentences: Sequence[Sequence[str]]) -> list[Tensor]:
        """For each sentence the mixed vectors (words, dimension), read from a zero state."""
        return [self.mix(hidden) for hidden in self.layers(sentences)[0]]

    def losses(
        self, sentences: Sequence[Sequence[str]], state: BiState | None = None
    ) -> tuple[Tensor, Tensor, BiState]:
        """`Bilm.losses` of a batch of sentences; words outside the vocabulary count as `<UNK>`."""
        characters, lengths = sentence_characters(sentences, self.bilm.config.word_length)
        unknown = self._number[UNKNOWN]
        words = torch.zeros(characters.shape[:2], dtype=torch.long)
        for row, sentence in enumerate(sentences):
            whole = (BEGIN_SENTENCE, *sentence, END_SENTENCE)
            words[row, : len(whole)] = torch.tensor([self._number.get(word, unknown) for word in whole])
        device = next(self.parameters()).device
        return self.bilm.losses(characters.to(device), lengths.to(device), words.to(device), state)

    def save(self, folder: Path, half: bool = False) -> None:
        """Writes `elmo.json` and `model.safetensors`; `half`: in float16."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        save_file({n: t.half() if half else t for n, t in tensors.items()}, folder / "model.safetensors")
        record = {"config": asdict(self.bilm.config), "vocabulary": self.vocabulary}
        (folder / "elmo.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "Elmo":
        """What `save` wrote, in float32 and evaluation mode.

        Raises:
            RagkitError: if the folder has no such files or they do not fit each other.
        """
        folder = Path(folder)
        try:
            record = json.loads((folder / "elmo.json").read_text(encoding="utf-8"))
            filters = tuple(tuple(pair) for pair in record["config"].pop("filters"))
            model = cls(BilmConfig(**record["config"], filters=filters), record["vocabulary"])
            tensors = load_file(folder / "model.safetensors")
            model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RagkitError(f"{folder}: not a saved ELMo: {first}") from error
        return model.eval()

    @classmethod
    def from_bilm_tf(cls, options: Mapping[str, dict], tensors: Mapping[str, Tensor]) -> "Elmo":
        """The published weights of allenai/bilm-tf (AllenNLP's files too), in evaluation mode.

        Args:
            options: the parsed options.json.
            tensors: the data sets of the HDF5 file by path, e.g. "CNN/W_cnn_0".
        """
        from ragkit.models.sequence.bilm_tf import config_from_options, state_from_tensors

        model = cls(config_from_options(options))
        model.bilm.load_state_dict(state_from_tensors(tensors))
        return model.eval()
