"""Plans on a CUDA card: kernels printed as CUDA C, products of cublasLt, a whole step as one graph. No GPU has run it."""
