"""Plans on a CUDA card: kernels printed as CUDA C, products of cublasLt, a whole step as one graph.

No GPU has run any of it. What a card must be able to do is said in card.py, so that all else is tested on a card of
paper.
"""

from dlarray.planner.cuda.card import Card
from dlarray.planner.cuda.profiling import profile
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.repeated import Repeated
from dlarray.planner.cuda.step import OnCard, on_card

__all__ = ["Card", "OnCard", "Repeated", "Settings", "on_card", "profile"]
