"""Rows 84-86, and what row 83 has to equal: ELMo against bilm-tf's golden files, and its parts."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ragkit.chapters.sequence.parity import double, off
from ragkit.encoders.loading import packaged_folder
from ragkit.models.sequence.bert_weights import load_bert
from ragkit.models.sequence.elmo import Elmo
from ragkit.models.sequence.highway import Highway
from ragkit.models.sequence.layer_mix import LayerMix

GOLDEN = Path(__file__).parent / "bilm_tf"
STRANGE = ("qzxv", "qzxw", "Snøhetta", "雪", "antidisestablishmentarianism" * 3, "!?", "0x1F", "")
"""Strings that are in no vocabulary."""
SENSES = (
    ("bank", "he sat on the bank of the river", "they walked along the grassy bank of the stream",
     "she put money in the bank", "the bank raised its interest rates"),
    ("bat", "the bat flew out of the cave at night", "a bat hung asleep from the roof of the barn",
     "he swung the bat and hit the ball", "the player broke his wooden bat"),
    ("match", "she lit the match and held it to the candle", "he struck a match to light the fire",
     "the team won the match by two goals", "the tennis match lasted four hours"),
    ("spring", "flowers bloom in early spring", "the birds return each spring",
     "water rose from a spring in the rock", "they drank from the cold mountain spring"),
    ("plant", "the plant needs water and light", "a green plant grew in the pot",
     "the workers of the steel plant went on strike", "a nuclear power plant was built here"),
)  # fmt: skip
"""A word, two sentences with one sense of it and two with another."""


def golden_elmo() -> tuple[Elmo, dict[str, Tensor]]:
    """The tiny published model, and all tensors of its file."""
    tensors = load_file(GOLDEN / "golden.safetensors")
    return Elmo.from_bilm_tf(json.loads((GOLDEN / "options.json").read_text()), tensors), tensors


@torch.no_grad()
def golden_error() -> float:
    """Top layer of thirty sentences, the state carried through ten of each of three streams; the files hold
    no other layer, and all below leads up to it."""
    model, tensors = golden_elmo()
    streams = json.loads((GOLDEN / "sentences.json").read_text())
    state, worst = None, 0.0
    for at in range(10):
        layers, state = model.layers([stream[at].split() for stream in streams], state)
        for stream, hidden in enumerate(layers):
            top = torch.stack(hidden[-1].chunk(2, dim=-1))
            worst = max(worst, off(top, tensors[f"expected/{stream}/{at}"]))
    return worst


@torch.no_grad()
def characters() -> dict[str, float]:
    """Row 84."""
    model, _ = golden_elmo()
    vectors = model.layers([STRANGE])[0][0][0]
    apart = torch.cdist(vectors, vectors).fill_diagonal_(torch.inf).amin(dim=1)
    layer, x = Highway(5).double(), double(3, 5)
    gate = (x @ layer.gate.weight.mT + layer.gate.bias).sigmoid()
    by_hand = gate * (x @ layer.transform.weight.mT + layer.transform.bias).relu() + (1 - gate) * x
    return {
        "strings without a vector of their own": int((~(apart > 1e-3)).sum()),
        "highway off by": off(layer(x), by_hand),
        "golden files off by": golden_error(),
    }


def layer_mix() -> dict[str, float]:
    """Row 85: as bilm-tf writes it, softmax(s + 1/L); and what learns while the network is frozen."""
    mix, hidden = LayerMix(3).double(), double(3, 4, 5)
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.3, -1.0, 2.0]))
        mix.scale.fill_(1.7)
    weights = torch.softmax(mix.scores + 1 / 3, 0)
    by_hand = mix.scale * sum(w * h for w, h in zip(weights, hidden, strict=True))
    model, _ = golden_elmo()
    model.bilm.requires_grad_(False)
    model([["river", "bank"]])[0].square().sum().backward()
    learns = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    return {
        "error": off(mix(hidden), by_hand),
        "sum of the weights off by": off(mix.weights.sum(), torch.tensor(1.0)),
        "parameters that learn but s and γ": len(learns ^ {"mix.scores", "mix.scale"}),
    }


@torch.no_grad()
def senses() -> dict[str, float]:
    """Row 86: one word in two sentences; and in the packaged MiniLM, read by our BERT, sense against sense.

    The golden ELMo is too small to have learnt what words mean, so that senses are MiniLM's.
    """
    from transformers import AutoTokenizer

    model, _ = golden_elmo()
    two = [sentence.split() for sentence in (SENSES[0][1], SENSES[0][3])]
    places = [words.index("bank") for words in two]
    a, b = (hidden[:, at] for hidden, at in zip(model.layers(two)[0], places, strict=True))
    cosine = torch.cosine_similarity(a, b, dim=-1)

    folder = packaged_folder()
    bert, tokenizer = load_bert(folder), AutoTokenizer.from_pretrained(folder)

    def vector(word: str, sentence: str) -> Tensor:
        tokens = tokenizer(sentence, return_tensors="pt")["input_ids"]
        return bert(tokens)[0, tokens[0] == tokenizer.convert_tokens_to_ids(word)][0]

    nearer = []
    for word, *sentences in SENSES:
        found = torch.stack([vector(word, sentence) for sentence in sentences])
        cosines = torch.cosine_similarity(found[:, None], found, dim=-1)
        nearer.append((cosines[0, 1] + cosines[2, 3]) / 2 - cosines[:2, 2:].mean())
    return {
        "same word in a table, cosine off 1": abs(float(cosine[0]) - 1),
        "same word in context, cosine": float(cosine[1:].max()),
        "senses: cosine within less across": float(torch.stack(nearer).mean()),
        "words of five whose senses part": int((torch.stack(nearer) > 0).sum()),
    }
