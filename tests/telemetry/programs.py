"""Programs of Debian's `prometheus` package that tests hold our metrics and rules against."""

import os
import shutil

import pytest


def debian_program(name: str) -> str:
    """Where it is; without it the test is skipped, but fails where CI=true."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and CI=true wants it (Debian: prometheus)")
        pytest.skip(f"{name} is not installed (Debian package prometheus)")
    return found
