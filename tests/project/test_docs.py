"""The documentation is right: its Python runs, the names in it exist, its links lead somewhere.

Every block marked ``python`` is run, those of one page in order in one namespace, as a reader would type them. A block
of prompts (>>>) must also print what the page says it prints, and a block marked ``output`` is what the block before it
prints.
"""

from __future__ import annotations

import doctest
import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import dlarray
from tests.support.process import python

