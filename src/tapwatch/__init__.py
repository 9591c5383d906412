"""tapwatch: a streaming packet and flow anomaly monitor.

Importing the package sets NUMBA_CACHE_DIR, before anything can import numba, to a directory that is
named by what the compiled kernels depend on; see `_kernel_cache`.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
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
    key = digest.hexdigest()[:16]
    for name, below in (("CACHE_DIRECTORY", ""), ("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        if base := os.environ.get(name):
            folder = Path(base) / below / "tapwatch" / key
            if is_writable(folder):
                return str(folder)
    # Numba would fall back to folders that are not named by the sources, or fail. A folder for this
    # run alone costs a compilation; that is better than yesterday's kernels.
    scratch = tempfile.mkdtemp(prefix="tapwatch-kernels-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return scratch


def is_writable(folder: Path) -> bool:
    """True if files can be made in a folder, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


if not os.environ.get("NUMBA_CACHE_DIR"):
    os.environ["NUMBA_CACHE_DIR"] = _kernel_cache()
