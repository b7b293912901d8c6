"""Random programs, plain NumPy against planned: ``python -m tests.fuzz --programs 20000 --seed 0``.

grammar and arrays write the statements of a step as Python source, inputs says what a step is called with and in which
memory, sessions calls it several times, plainly and planned, and compares; library takes networks of dlarray's own
layers, losses and optimizers instead of statements. Nothing in these knows what the planner can do: the oracle is the
same program run by NumPy. exact has programs of another kind, of instructions that can be planned to the last bit.
"""
