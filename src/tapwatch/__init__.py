"""tapwatch: a streaming packet and flow anomaly monitor.

Importing the package sets NUMBA_CACHE_DIR, before anything can import numba, to a directory that is
named by what the compiled kernels depend on; see `_kernel_cache`.
"""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

__all__ = ["__version__"]

__version__ = "0.1.0"


def _kernel_cache() -> str:
    """Directory for compiled kernels, one for each version of the sources.

    Numba's cache does not notice a change in *another* file, and mixes code compiled with and
    without bounds checks; so the key is the text of every source, numba's version, and that switch.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    digest.update(version("numba").encode() + os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    base = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache"
    return str(root / "tapwatch" / digest.hexdigest()[:16])


os.environ.setdefault("NUMBA_CACHE_DIR", _kernel_cache())
