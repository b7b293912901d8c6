"""Tracing: a step runs once on symbols, which records a graph."""

__all__: list[str] = []
