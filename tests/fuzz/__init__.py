"""Random programs, eager and planned, are compared: ``python -m tests.fuzz --programs 20000 --seed 0``.

tables, grammar and writer make the statements of a step as Python source; inputs makes its arguments, in various memory
layouts; sessions calls it several times, eagerly and planned, and compares. networks makes steps of dlarray's layers,
losses and optimizers instead of statements. None of these depends on what the planner can do: the oracle is the same
program run by NumPy. exact has other programs, of instructions that can be planned to the last bit.
"""
