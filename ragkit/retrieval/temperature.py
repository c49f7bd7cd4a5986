"""The scale of each search mode's scores: score / temperature is a log-odds, and its softmax is p(z|x)."""

TEMPERATURES = {"hybrid": 1.0, "dense": 0.04, "lexical": 1.0}
"""Those of highest likelihood on training splits, rounded: `python -m eval.fusion.temperature` fits them. The
fused score is a log-odds by construction (see `ragkit.retrieval.fusion`); "dense" is for cosines.
"""
