"""Plans on a CUDA card: kernels printed as CUDA C, products of cublasLt, a whole step as one graph.

No GPU has run any of it. What a card must be able to do is said in card.py, so that all else is tested on a card of
paper.
"""
