"""How much faster RAG-Sequence is when every passage is encoded once.

    python -m eval.speed.rag_sequence [--repeats 5] [--threads 1]

ragkit's `RagSequence.answer` against transformers' `RagSequenceForGeneration.generate`: the same random
weights of BART-base and T5-small size, 5 prompts of 200 tokens, 4 beams, thorough decoding, 10 tokens an
answer (93 % of SQuAD's answers take no more, their end counted). Runs are interleaved, and both must choose
the same answer. ragkit's time includes making tokens of the text; transformers is given the tokens. Time is
the processor's, summed over threads, so that other work on the machine does not count. The share of the
machine's limit is matrix arithmetic a second (torch's FLOP counter) over that of one large matrix product,
measured between the runs.

Writes eval/results/rag_sequence_speed.md and .json.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
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

from ragkit.corpus.document import Passage
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.retrieval.hit import Hit

RESULTS = Path(__file__).parents[1] / "results"
PASSAGES, TOKENS, BEAMS, ANSWER_TOKENS = 5, 200, 4, 10


def bart() -> PreTrainedModel:
    """BART-base's shape. Weights wider than at the start of training, so that beams differ clearly."""
    return BartForConditionalGeneration(
        BartConfig(
            d_model=768,
            encoder_layers=6,
            decoder_layers=6,
            encoder_attention_heads=12,
            decoder_attention_heads=12,
            encoder_ffn_dim=3072,
            decoder_ffn_dim=3072,
            init_std=0.1,
        )
    )


def t5() -> PreTrainedModel:
    """T5-small's shape, weights wider for the same reason: where all passages' beams agree, there is less to
    rescore, and the ratio is 4.0."""
    config = T5Config(vocab_size=32128, decoder_start_token_id=0, initializer_factor=3.0)
    return T5ForConditionalGeneration(config)


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


def compare(name: str, build: Callable[[], PreTrainedModel], repeats: int) -> dict[str, Any]:
    torch.manual_seed(0)
    model = build().eval()
    generator = Seq2SeqGenerator(model, tokenizer(model), "{question} {passage}")
    rag = RagSequence(
        None, generator, temperature=1.0, beams=BEAMS, max_answer_tokens=ANSWER_TOKENS, min_answer_tokens=2
    )
    question = "w200 w201 w202 w203 w204 w205"
    found = hits(len(question.split()), model.config.vocab_size)
    prompts = torch.tensor([generator.render(question, "", hit.passage.text)["input_ids"] for hit in found])
    assert prompts.shape == (PASSAGES, TOKENS)
    theirs = transformers_rag(model)
    scores = torch.tensor([[hit.score for hit in found]])

    def ours() -> str:
        return rag.answer([question], [found])[0].text

    def reference() -> str:
        with torch.no_grad():
            tokens = theirs.generate(
                context_input_ids=prompts,
                context_attention_mask=torch.ones_like(prompts),
                doc_scores=scores,
                num_beams=BEAMS,
                max_new_tokens=ANSWER_TOKENS,
                min_new_tokens=1,
            )
        return generator.text(tuple(tokens[0].tolist()), found[0].passage)

    work = {}
    winners = {}
    for side, run in (("ragkit", ours), ("transformers", reference)):  # also warms both up
        with FlopCounterMode(display=False) as counter:
            winners[side] = run()
        work[side] = counter.get_total_flops()
    if winners["ragkit"] != winners["transformers"]:
        raise SystemExit(f"{name}: the winners differ: {winners}")

    seconds: dict[str, list[float]] = {"ragkit": [], "transformers": []}
    limits = []
    for _ in range(repeats):
        limits.append(machine_limit())
        for side, run in (("ragkit", ours), ("transformers", reference)):
            begin = time.process_time()
            assert run() == winners[side]
            seconds[side].append(time.process_time() - begin)
            print(f"{name}: {side} {seconds[side][-1]:.2f} s", file=sys.stderr)
    ratios = [b / a for a, b in zip(seconds["ragkit"], seconds["transformers"], strict=True)]
    limit = statistics.median(limits)
    return {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "winner": winners["ragkit"],
        "seconds": seconds,
        "gigaflop": {side: flops / 1e9 for side, flops in work.items()},
        "machine_gflops": limit,
        "share_of_limit": {
            side: work[side] / 1e9 / statistics.median(seconds[side]) / limit for side in seconds
        },
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def machine_limit(size: int = 1536, runs: int = 5) -> float:
    """GFLOP/s of a float32 matrix product on the threads in use, the best of some runs."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    best = float("inf")
    for _ in range(runs):
        begin = time.process_time()
        torch.mm(a, b)
        best = min(best, time.process_time() - begin)
    return 2 * size**3 / best / 1e9


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# RAG-Sequence: every passage encoded once",
        "",
        f"`{report['command']}` on {report['processor']}, {report['threads']} thread(s), torch "
        f"{report['torch']}, transformers {report['transformers']}.",
        "",
        f"{PASSAGES} prompts of {TOKENS} tokens, {BEAMS} beams, {ANSWER_TOKENS} tokens an answer, thorough "
        "decoding, random weights, float32; interleaved runs, the same winner on both sides. Processor "
        "seconds, medians; ratio: transformers' time over ragkit's, run by run.",
        "",
        "| shape | parameters | ragkit s | transformers s | ratio median (min to max) | GFLOP | GFLOP "
        "transformers | share of the machine's limit, ragkit / transformers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["models"]:
        seconds = {side: statistics.median(values) for side, values in row["seconds"].items()}
        share = row["share_of_limit"]
        lines.append(
            f"| {row['model']} | {row['parameters'] / 1e6:.0f} M | {seconds['ragkit']:.2f} | "
            f"{seconds['transformers']:.2f} | **{row['ratio_median']:.1f}** ({row['ratio_min']:.1f} to "
            f"{row['ratio_max']:.1f}) | {row['gigaflop']['ragkit']:.0f} | "
            f"{row['gigaflop']['transformers']:.0f} | {share['ragkit']:.0%} / {share['transformers']:.0%} of "
            f"{row['machine_gflops']:.0f} GFLOP/s |"
        )
    return "\n".join(lines) + "\n"


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=1)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    report = {
        "command": "python -m eval.speed.rag_sequence "
        f"--repeats {options.repeats} --threads {options.threads}",
        "processor": processor(),
        "threads": options.threads,
        "torch": torch.__version__,
        "transformers": __version__,
        "models": [
            compare(name, build, options.repeats) for name, build in (("BART-base", bart), ("T5-small", t5))
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rag_sequence_speed.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "rag_sequence_speed.md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
