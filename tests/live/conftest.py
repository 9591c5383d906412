"""One wire a test, removed afterwards."""

import itertools

import pytest

from tests.live.wire import made

_numbers = itertools.count()


@pytest.fixture
def wire():
    """Two ends of a veth pair in a namespace of their own."""
    wire = made(next(_numbers))
    yield wire
    wire.close()
