"""Scheduling: which nodes share a kernel, where every value lies, and in what order things are done."""

__all__: list[str] = []
