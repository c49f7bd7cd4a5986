"""Chapter 7, retrieval-augmented generation: what each row must reach."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.rag"
check = checks_in(HERE)

RAG = Chapter(
    7,
    "rag",
    "Retrieval-augmented generation",
    checks=(
        check(
            99, "Retriever p(z|x)", "torch.log_softmax over the top k", "retrieval.prior",
            most("error"), none("orders broken"),
        ),
        check(
            100, "DPR's loss", "facebookresearch/DPR BiEncoderNllLoss", "retrieval.dual_encoder_loss",
            most("error", 1e-6),
        ),
        check(
            101, "Passage splitting", "slices of the document", "retrieval.splitting",
            none("passages that are no slices"), none("answers cut"),
        ),
        check(
            102, "Index", "brute force in numpy", "retrieval.indexes",
            none("ids of exact families wrong"), none("ids other after loading"),
            least("recall HNSW16", 0.95), least("recall SQ8", 0.95),
            least("recall PQ16", 0.8), least("recall RaBitQ", 0.3),
        ),
        check(
            103, "RAG-Sequence", "RagSequenceForGeneration; enumeration", "answers.rag_sequence",
            most("sum over outputs - 1"), most("error", 1e-5), least("question's gradient", 1e-3),
        ),
        check(
            104, "Partial training", "bits before and after a step", "answers.partial_training",
            none("frozen tensors moved"), none("tensors of frozen layers not frozen"),
            least("tensors moved", 1),
        ),
        check(
            105, "Extractive reader", "enumeration of all spans", "answers.spans",
            none("spans wrong"), none("answers that are no slices"),
        ),
        check(106, "R@k and Success@k", "ir-measures", "retrieval.recall_and_success", most("error", 1e-9)),
        check(107, "MAP, MRR, nDCG", "ir-measures", "retrieval.ranked_measures", most("error", 1e-9)),
        check(
            108, "Speed, memory, build time", "faiss sa_code_size", "retrieval.costs",
            none("bytes a vector off by"), none("costs not told"),
        ),
        check(
            109, "Best of n with citations", "a candidate drawn at random", "preferred.best_of_n",
            least("right answers preferred", 0.9), trained=True,
        ),
        check(
            110, "Toolformer", "the same model without its calculator", "toolformer.three_digit_sums",
            least("sums with the calculator", 0.95), most("sums without", 0.5),
            most("calls where none is needed", 0.05), least("kept as it should be", 0.95), trained=True,
        ),
        check(
            111, "Grounding", "shuffled passages", "answers.grounded",
            least("AUC made from others", 0.8), least("AUC shown with others", 0.8),
        ),
        check(
            112, "Sources and window", "the tokenizer's count", "answers.window",
            none("prompts over the window"), none("cuts miscounted"), none("answers without sources"),
            most("odds of weighed sources off by", 1e-9),
        ),
    ),
    recipes=(
        ChapterRecipe(
            "toolformer", "a small language model that learns when to call a calculator", (110,),
            f"{HERE}.toolformer.Toolformer",
        ),
    ),
)  # fmt: skip

CHAPTERS = (RAG,)
