"""Training by several processes together: the ranks that ``fit(parallel=…)`` takes.

``dlarray.core.ranks.Ranks`` is the interface, ``mpi.MPIRanks`` its implementation for the processes of MPI, which
``mpiexec`` starts. MPI needs mpi4py: ``pip install "dlarray[mpi]"``.
"""

from dlarray.core.ranks import ALONE, RankError, Ranks
from dlarray.parallel.choice import joined
from dlarray.parallel.mpi import MPIRanks

__all__ = ["ALONE", "MPIRanks", "RankError", "Ranks", "joined"]
