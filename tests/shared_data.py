"""Where the large external corpus is, if it is there at all."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _folder(name: str) -> Path:
    given = os.environ.get("TAPWATCH_DATA")
    folder = Path(given).parent / name if given else ROOT.parent / "shared" / name
    if not folder.is_dir():
        reason = f"external corpus absent: {name} (set TAPWATCH_DATA to its data folder)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def shared_data() -> Path:
    """Folder of real captures and tables; skips the test where absent, fails it in CI."""
    return _folder("data")


def shared_oracle() -> Path:
    """Folder with tshark's answers for those captures; skips the test where absent."""
    return _folder("oracle")
