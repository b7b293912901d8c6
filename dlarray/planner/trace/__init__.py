"""Tracing: a step runs once on symbols, which leaves a graph."""

__all__: list[str] = []
