"""Chapter 9, graph neural networks: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.graph"
check = checks_in(HERE)

GRAPH = Chapter(
    9,
    "graph",
    "Graph neural networks",
    checks=(
        check(
            124, "Graph data", "the nodes renumbered", "layers.graph_data", most("f(PX, PAPᵀ) - P f(X, A)"),
        ),
        check(
            125, "Structure-preserving embedding", "who knows whom in the karate club", "karate.structure",
            least("AUC of seen friendships", 0.75), least("of held ones", 0.6), trained=True,
        ),
        check(
            126, "Graph head", "the graphs without padding", "shapes.graph_head",
            most("moved by padding"), least("moved where padding counts", 1e-3),
            least("cycles told from trees", 0.95), trained=True,
        ),
        check(
            127, "Node head", "by hand; whom the club's members followed", "karate.node_head",
            most("error"), least("sides told from two labels", 0.9), trained=True,
        ),
        check(
            128, "Edge head", "ZZᵀ; citations never seen", "links.edge_head",
            most("error"), most("(m, n) - (n, m)", 0), least("AUC of held citations", 0.85), trained=True,
        ),
        check(
            129, "Sum over neighbours", "the notes' dense matrices", "nodes.sum_of_neighbours",
            most("error"), least("accuracy on Cora", 0.77), trained=True,
        ),
        check(
            130, "Batching", "one graph at a time", "fields.batching",
            most("blocks off one by one"), most("padded off one by one"),
        ),
        check(
            131, "Inductive, transductive", "other test nodes", "fields.settings_of_nodes",
            most("gradient moved, inductive", 0), least("gradient moved, transductive", 1e-3),
        ),
        check(
            132, "k-hop field", "autograd; powers of A + I", "fields.receptive_fields",
            none("fields other than the gradient's"), none("other than (A + I)^k"),
        ),
        check(
            133, "Neighbour sampling", "the full graph", "fields.neighbour_sampling",
            most("full fan-out off the full graph"), most("standard errors off", 3),
            least("unscaled: standard errors off", 5),
        ),
        check(
            134, "Partitioning", "parts at random; the whole graph", "nodes.partitioning",
            most("edges cut / at random", 0.5), most("points below the whole graph", 3), trained=True,
        ),
        check(
            135, "Diagonal enhancement", "the notes' dense matrices", "layers.diagonal",
            most("error"), most("ε = 0 off the sum"), least("slope of ε", 1e-3),
        ),
        check(
            136, "Generalised diagonal", "the notes' dense matrices", "layers.generalised", most("error"),
        ),
        check(
            137, "Residual connections", "the notes' dense matrices", "layers.residual",
            most("error"), none("width - outputs - D"), most("last D off H", 0),
        ),
        check(
            138, "Mean", "the notes' dense matrices", "nodes.mean_of_neighbours",
            most("error"), least("accuracy on Cora", 0.78), trained=True,
        ),
        check(
            139, "Kipf normalisation", "dense matrices of both forms; published .815", "nodes.kipf",
            most("error"), least("accuracy on Cora", 0.8), least("the notes' form", 0.785), trained=True,
        ),
        check(140, "Maximum", "a loop over the nodes", "layers.largest", most("error")),
        check(
            141, "Attention", "the notes' dense matrices; published .830", "nodes.attention",
            most("error"), least("accuracy on Cora", 0.815), trained=True,
        ),
        check(
            142, "Convolution framework", "the layers", "layers.convolution_framework",
            most("GCN"), most("sum"), most("mean"), most("two weights"), most("GAT of three heads"),
        ),
    ),
    recipes=(
        ChapterRecipe(
            "cora-gcn", "papers of Cora told by field, any aggregation, by parts or samples",
            (129, 133, 134, 138, 139), f"{HERE}.nodes.CoraNodes",
        ),
        ChapterRecipe(
            "cora-gat", "the same by attention of eight heads", (141,), f"{HERE}.nodes.CoraAttention",
        ),
        ChapterRecipe(
            "cora-links", "who cites whom, from vectors fitted to the other citations", (128,),
            f"{HERE}.links.CoraLinks",
        ),
        ChapterRecipe(
            "karate-embedding", "the karate club as points of a plane", (125,),
            f"{HERE}.karate.KarateEmbedding",
        ),
        ChapterRecipe(
            "karate-sides", "whom each member followed, from two labels", (127,),
            f"{HERE}.karate.KarateSides",
        ),
        ChapterRecipe(
            "cycle-or-tree", "graphs with a cycle told from trees", (126,), f"{HERE}.shapes.CycleOrTree",
        ),
    ),
)  # fmt: skip

CHAPTERS = (GRAPH,)
