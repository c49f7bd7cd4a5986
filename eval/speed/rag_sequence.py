"""RAG-Sequence against transformers' own, on the same weights and prompts.

    python -m eval.speed.rag_sequence [--shapes BART-base T5-small] [--tokens 10 16] [--rounds 1]

ragkit's `RagSequence.answer` against transformers' `RagSequenceForGeneration.generate`: the same random
weights of BART-base and T5-small size, 5 prompts of 200 tokens, 4 beams, thorough decoding. Two ways of
drawing the weights: wide, where the beams of the passages differ and there is much to score anew, and as at
the start of training, where they agree and there is nothing. Four runs take turns, each side in float32 and
in bfloat16 (transformers' as a whole, ragkit's as `precision` says); ragkit's time includes making tokens of
the text, transformers is given the tokens. Time is the processor's, summed over threads, so that other work
on the machine hardly counts. The share of the machine's limit is matrix arithmetic a second (torch's FLOP
counter) over that of one large matrix product.

Adds to eval/results/rag_sequence_speed.json, a row a shape, length and way of drawing, and writes the .md.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RagConfig,
    RagSequenceForGeneration,
    T5Config,
    T5ForConditionalGeneration,
    __version__,
)

from eval.printed import RESULTS, last_run
from eval.speed.measuring import (
    interleaved,
    matrix_product_gflops,
    processor,
    ratio,
    write_results,
)
from ragkit.corpus.document import Passage
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.retrieval.hit import Hit

NAME = "rag_sequence_speed"
PASSAGES, TOKENS, BEAMS = 5, 200, 4
SIDES = ("ragkit float32", "ragkit bfloat16", "transformers float32", "transformers bfloat16")
COMPARED = {
    "float32": ("transformers float32", "ragkit float32"),
    "bfloat16": ("transformers bfloat16", "ragkit bfloat16"),
    "as each comes": ("transformers float32", "ragkit bfloat16"),
}
"""What is divided by what. As it comes, ragkit multiplies in bfloat16 where the processor does."""


def bart(differ: bool) -> PreTrainedModel:
    """BART-base's shape."""
    return BartForConditionalGeneration(
        BartConfig(
            d_model=768,
            encoder_layers=6,
            decoder_layers=6,
            encoder_attention_heads=12,
            decoder_attention_heads=12,
            encoder_ffn_dim=3072,
            decoder_ffn_dim=3072,
            init_std=0.1 if differ else 0.02,
        )
    )


def t5(differ: bool) -> PreTrainedModel:
    """T5-small's shape."""
    factor = 3.0 if differ else 1.0
    return T5ForConditionalGeneration(
        T5Config(vocab_size=32128, decoder_start_token_id=0, initializer_factor=factor)
    )


SHAPES: dict[str, Callable[[bool], PreTrainedModel]] = {"BART-base": bart, "T5-small": t5}


def tokenizer(model: PreTrainedModel) -> PreTrainedTokenizerFast:
    """One word a token, ended as the model's own tokenizer ends a text."""
    config = model.config
    pad, end = "<pad>", "<end>"
    names = {i: f"w{i}" for i in range(config.vocab_size)} | {
        config.pad_token_id: pad,
        config.eos_token_id: end,
    }
    vocabulary = {name: i for i, name in names.items()}
    words = Tokenizer(models.WordLevel(vocabulary, "w3"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, config.eos_token_id)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token=pad, eos_token=end)


def hits(question_tokens: int, vocabulary: int) -> list[Hit]:
    """Passages of random words that fill a prompt of TOKENS tokens."""
    found = []
    for rank in range(PASSAGES):
        ids = torch.randint(100, vocabulary, (TOKENS - question_tokens - 1,)).tolist()
        text = " ".join(f"w{i}" for i in ids)
        found.append(Hit(Passage(str(rank), str(rank), text, 0, len(text)), 1.0 - 0.1 * rank, rank + 1))
    return found


def transformers_rag(model: PreTrainedModel) -> RagSequenceForGeneration:
    question_encoder = {
        "model_type": "dpr",
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    config = RagConfig(question_encoder=question_encoder, generator=model.config.to_dict(), n_docs=PASSAGES)
    # T5 has no BOS, and generate() fails where both are None: a token that no beam begins with stands in.
    config.bos_token_id = 99
    return RagSequenceForGeneration(config=config, question_encoder=torch.nn.Module(), generator=model).eval()


def compare(shape: str, differ: bool, answer_tokens: int, options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    model = SHAPES[shape](differ).eval()
    question = "w200 w201 w202 w203 w204 w205"
    found = hits(len(question.split()), model.config.vocab_size)

    def ours(precision: str) -> Callable[[], str]:
        generator = Seq2SeqGenerator(
            model, tokenizer(model), "{question} {passage}", "fp32" if precision == "float32" else "bf16"
        )
        rag = RagSequence(
            None,
            generator,
            temperature=1.0,
            beams=BEAMS,
            max_answer_tokens=answer_tokens,
            min_answer_tokens=2,
        )
        return lambda: rag.answer([question], [found])[0].text

    reference = Seq2SeqGenerator(model, tokenizer(model), "{question} {passage}", "fp32")
    prompts = torch.tensor([reference.render(question, "", hit.passage.text)["input_ids"] for hit in found])
    assert prompts.shape == (PASSAGES, TOKENS)
    scores = torch.tensor([[hit.score for hit in found]])

    def theirs(precision: str) -> Callable[[], str]:
        dtype = getattr(torch, precision)
        rag = transformers_rag(model if dtype == torch.float32 else copy.deepcopy(model).to(dtype))

        def run() -> str:
            with torch.no_grad():
                tokens = rag.generate(
                    context_input_ids=prompts,
                    context_attention_mask=torch.ones_like(prompts),
                    doc_scores=scores.to(dtype),
                    num_beams=BEAMS,
                    max_new_tokens=answer_tokens,
                    min_new_tokens=1,
                )
            return reference.text(tuple(tokens[0].tolist()), found[0].passage)

        return run

    sides = {
        side: (ours if side.startswith("ragkit") else theirs)(side.split()[1])
        for side in SIDES
        if side.split()[1] in options.precisions
    }
    winners: dict[str, str] = {}
    work: dict[str, float] = {}

    def counted(side: str) -> Callable[[], None]:
        """The first run, which is not timed, counts the arithmetic and keeps the winner."""

        def run() -> None:
            if side in work:
                if sides[side]() != winners[side]:
                    raise SystemExit(f"{shape}: {side} does not repeat its winner")
                return
            with FlopCounterMode(display=False) as counter:
                winners[side] = sides[side]()
            work[side] = counter.get_total_flops()
            print(f"{shape}, {answer_tokens} tokens: {side}: {winners[side]}", file=sys.stderr)

        return run

    seconds = interleaved({side: counted(side) for side in sides}, options.rounds, time.process_time)
    for side, values in seconds.items():
        print(side, [round(value, 2) for value in values], file=sys.stderr)
    if winners["ragkit float32"] != winners["transformers float32"]:
        raise SystemExit(f"{shape}: the winners differ: {winners}")
    limits = {
        precision: matrix_product_gflops(precision, options.threads, clock=time.process_time)
        for precision in options.precisions
    }
    pairs = {name: pair for name, pair in COMPARED.items() if all(side in seconds for side in pair)}
    return {
        "shape": shape,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "beams": "differ" if differ else "agree",
        "tokens": answer_tokens,
        "threads": options.threads,
        "processor": processor(),
        "versions": f"torch {torch.__version__}, transformers {__version__}",
        "seconds": seconds,
        "ratios": {name: vars(ratio(seconds[a], seconds[b])) for name, (a, b) in pairs.items()},
        "same_winner": {name: winners[a] == winners[b] for name, (a, b) in pairs.items()},
        "gigaflop": {side: flops / 1e9 for side, flops in work.items()},
        "machine_gflops": limits,
        "share_of_limit": {
            side: work[side] / 1e9 / statistics.median(seconds[side]) / limits[side.split()[1]]
            for side in sides
        },
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "# RAG-Sequence: every passage encoded once",
        "",
        f"`python -m eval.speed.rag_sequence` on {rows[0]['processor']}, {rows[0]['threads']} thread(s), "
        f"{rows[0]['versions']}.",
        "",
        f"{PASSAGES} prompts of {TOKENS} tokens, {BEAMS} beams, thorough decoding, random weights. Processor "
        "seconds, medians of interleaved runs; ratio: transformers' time over ragkit's, run by run, with "
        "quartiles. Beams differ where weights are drawn wide, and agree where they are drawn as at the "
        "start of training: then transformers has nothing to score anew, and all that can be saved is "
        "reading 5 prompts instead of 5 for each of the 4 candidates. In bfloat16 all of transformers' model "
        "computes in it, ragkit's without the layer of the logits. As each comes: ragkit's default on this "
        "processor against transformers' float32. The same winner: which of the three pairs chose the same "
        "answer; random weights leave candidates closer together than trained ones.",
        "",
        "| shape | beams | answer | ragkit fp32 / bf16 s | transformers fp32 / bf16 s | ratio in fp32 | "
        "in bf16 | as each comes | same winner | GFLOP ragkit / transformers | share of the limit in fp32 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = {side: f"{statistics.median(values):.2f}" for side, values in row["seconds"].items()}
        ratios = {
            name: f"{'**' if name == 'float32' else ''}{of['median']:.1f}{'**' if name == 'float32' else ''} "
            f"({of['low']:.1f} to {of['high']:.1f})"
            for name, of in row["ratios"].items()
        }
        same = [name for name, equal in row["same_winner"].items() if equal]
        share, work = row["share_of_limit"], row["gigaflop"]
        times = [
            " / ".join(seconds.get(f"{side} {precision}", "-") for precision in ("float32", "bfloat16"))
            for side in ("ragkit", "transformers")
        ]
        lines.append(
            f"| {row['shape']}, {row['parameters'] / 1e6:.0f} M | {row['beams']} | {row['tokens']} tokens | "
            f"{times[0]} | {times[1]} | {ratios['float32']} | {ratios.get('bfloat16', '-')} | "
            f"{ratios.get('as each comes', '-')} | "
            f"{'in all' if len(same) == len(row['ratios']) else ', '.join(same)} | "
            f"{work['ragkit float32']:.0f} / {work['transformers float32']:.0f} | "
            f"{share['ragkit float32']:.0%} / {share['transformers float32']:.0%} of "
            f"{row['machine_gflops']['float32']:.0f} GFLOP/s |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument(
        "--tokens", nargs="+", type=int, default=[10, 16], help="of an answer, its end counted"
    )
    parser.add_argument("--beams", nargs="+", choices=["differ", "agree"], default=["differ", "agree"])
    parser.add_argument(
        "--precisions", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"]
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    file = RESULTS / f"{NAME}.json"
    kept = last_run(file).get("rows", [])
    rows = {(row["shape"], row["beams"], row["tokens"]): row for row in kept}
    for shape in options.shapes:
        for beams in options.beams:
            for tokens in options.tokens:
                rows[shape, beams, tokens] = compare(shape, beams == "differ", tokens, options)
                ordered = [rows[key] for key in sorted(rows)]
                write_results(NAME, {"rows": ordered}, markdown(ordered))


if __name__ == "__main__":
    main()
