"""One's own data: which rows learn, calibrate and test, by time and by label."""

from dataclasses import replace

import numpy as np
import pytest

from tapwatch.errors import ConfigError
from tapwatch.evaluation.protocol import Labelled, Tables
from tapwatch.evaluation.protocols import own, seed_003
from tests.evaluation import kdd_like

SECOND = 10**9


def table(labels, times):
    """Rows that hold their own number."""
    values = np.zeros((len(labels), len(kdd_like.SCHEMA.names)), np.float32)
    values[:] = np.arange(len(labels))[:, None]
    return Labelled(values, np.array(labels), np.array(times, np.int64), kdd_like.SCHEMA)


def test_rows_learn_in_the_order_of_time_not_of_the_file():
    """Ten normal rows that stand in the file from the last to the first."""
    made = table(["normal"] * 10 + ["worm"], [*range(10, 0, -1), 0])

    split = own.ONE_FILE.split(Tables(made), 0)

    assert split.train[:, 0].tolist() == [9, 8, 7, 6, 5, 4]
    assert split.calibration[:, 0].tolist() == [3, 2]
    assert sorted(split.test[:, 0].tolist()) == [0, 1, 10]


def test_the_rate_of_rows_is_that_of_the_whole_file():
    """An anomaly amid rows that are not tested has their rate; without times there is none."""
    labels = ["normal"] * 4 + ["worm"] + ["normal"] * 6
    times = [0, 1, 2, 3, 4, *(SECOND * k for k in range(9, 15))]
    made = table(labels, times)

    split = own.ONE_FILE.split(Tables(made), 0)

    assert split.test[:, 0].tolist() == [4, 9, 10]
    assert split.rates[2].tolist() == [5, 1, 1]
    for protocol in (own.ONE_FILE, own.TWO_FILES):
        tables = Tables(replace(made, has_times=False), made)
        assert protocol.split(tables, 0).rates is None


def test_labels_that_say_normal_nowhere_are_told():
    """With the most frequent first, and the option that gives others."""
    made = table(["good", "bad", "good"], [0, 1, 2])

    with pytest.raises(ConfigError, match="labels found: 'good' 2, 'bad' 1; --labels FILE gives"):
        own.ONE_FILE.split(Tables(made), 0)


@pytest.mark.parametrize("first_attacks", [True, False])
def test_seed_003_tests_with_the_first_attacks_or_with_some(first_attacks):
    """The first 80 % of the normal rows learn; as many attacks as normal rows test."""
    made = table(["normal"] * 50 + ["smurf"] * 200, range(250))

    split = seed_003.halves(Tables(made), first_attacks=first_attacks)

    places = split.test[:, 0].astype(int).tolist()
    assert split.train[:, 0].tolist() == list(range(40))
    assert places[:10] == list(range(40, 50))
    assert (places[10:] == list(range(50, 60))) is first_attacks
    assert len(set(places[10:])) == 10
