"""Scheduling: which nodes share a kernel, where each value is stored, and in which order the units run."""

__all__: list[str] = []
