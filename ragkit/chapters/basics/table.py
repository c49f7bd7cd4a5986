"""The chapters of this part."""

from ragkit.chapters.basics.chapter1 import NETWORKS
from ragkit.chapters.basics.chapter2 import TRAINING

CHAPTERS = (NETWORKS, TRAINING)
