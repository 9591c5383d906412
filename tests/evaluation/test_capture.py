"""Views and detectors against episodes: halves, thresholds, alerts."""

import numpy as np
import pytest

from tapwatch.config import Config
from tapwatch.errors import ConfigError
from tapwatch.evaluation import captured, trials
from tapwatch.evaluation.protocol import Contender
from tapwatch.evaluation.truth import Episode
from tapwatch.features import schema_of
from tapwatch.tables import ROW, FeatureBatch
from tests.alerts.made import row

SECOND = 10**9
START = 1_700_000_000 * SECOND
HOST = schema_of("host")
LINEAR = Contender("z", "robust_z", {"scaling": "min_max", "score": "max"}, columns=("flows_out",))


def hosts(flows_out, src="10.0.0.1", first_s=0) -> FeatureBatch:
    """A row every five seconds of one host that opens so many flows."""
    n_rows = len(flows_out)
    values = np.zeros((n_rows, len(HOST.columns)), np.float32)
    values[:, HOST.names.index("flows_out")] = flows_out
    rows = np.zeros(n_rows, ROW)
    for k in range(n_rows):
        at = START + (first_s + 5 * k) * SECOND
        rows[k] = row(src, "0.0.0.0", first_ts_ns=at - SECOND, last_ts_ns=at, order_ns=at,
                      is_flow=0, flow_id=0, proto=0, src_port=0, dst_port=0)  # fmt: skip
    return FeatureBatch(HOST, values, rows)


def views(benign, attacks) -> captured.Halves:
    """Train and calibrate on 0 to 4 flows."""
    usual = np.tile(np.arange(5), 40)
    return captured.Halves(hosts(usual), hosts(usual), hosts(benign), hosts(attacks))


def episode(first_s: int, last_s: int, src="10.0.0.1") -> Episode:
    """What a host did from one second to another."""
    return Episode(
        "1", "guessing", START + first_s * SECOND, START + last_s * SECOND, src, None, None, None
    )


def test_rows_are_cut_in_the_middle_of_the_time(tmp_path):
    """Eleven rows, 50 s: the middle is the sixth's time, and that row is of the first half."""
    batch = hosts(range(11))

    first, second = captured.in_halves(batch, captured.middle_of([batch]))

    assert first.values[:, HOST.names.index("flows_out")].tolist() == [0, 1, 2, 3, 4, 5]
    assert second.values[:, HOST.names.index("flows_out")].tolist() == [6, 7, 8, 9, 10]
    assert captured.hours_of(batch) == pytest.approx(50 / 3600)


def test_a_held_out_capture_without_rows_is_refused():
    """There is no middle of nothing."""
    with pytest.raises(ConfigError, match="held-out capture"):
        captured.middle_of([hosts([])])


def test_an_episode_is_found_and_what_is_beside_it_is_false():
    """9 flows where training had 4: inside of the episode a find, in another minute an alert."""
    attacks = [1] * 20
    attacks[4], attacks[18] = 9, 9

    trial = trials.attempt(views([2] * 5, attacks), LINEAR, 0, [episode(10, 40)], Config())

    assert trial.attacks.n_found == 1
    assert trial.attacks.findings[0].time_to_alert_s == pytest.approx(10)
    assert len(trial.attacks.false_alerts) == 1
    assert trial.benign.n_alerts == 0


def test_the_second_half_of_benign_traffic_counts_every_alert_as_false():
    """Two bursts of one host within the hold-down are one alert."""
    trial = trials.attempt(
        views([9, 1, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 9], [1]), LINEAR, 0, [], Config()
    )

    assert trial.benign.n_alerts == 2
    assert trial.benign.false_per_hour == pytest.approx(2 / (70 / 3600))


def test_the_threshold_lies_beyond_the_largest_benign_error():
    """4 flows are 2 from the median; the line is at 1.25 times that, 4.5 flows."""
    below = trials.attempt(views([4.4], [4.4]), LINEAR, 0, [], Config())
    above = trials.attempt(views([4.6], [4.6]), LINEAR, 0, [], Config())

    assert (below.benign.n_alerts, above.benign.n_alerts) == (0, 1)


def test_the_floor_counts_rows_of_one_source_in_the_last_minute():
    """A row every five seconds: twelve are in a minute; another host's rows are not among them."""
    own, other = hosts([0] * 15), hosts([0] * 2, src="10.0.0.9")
    both = FeatureBatch(
        HOST,
        np.concatenate([own.values, other.values]),
        np.concatenate([own.rows, other.rows]),
    )

    assert trials.rate_of(both).tolist() == [*range(1, 13), 12, 12, 12, 1, 2]
    assert trials.rate_of(hosts([])).tolist() == []


def test_the_floor_finds_a_flood_of_rows_by_the_rule_of_the_detectors():
    """Benign hosts have 12 rows a minute, so 15 is the line; values do not matter."""
    flood = hosts([1] * 40)
    flood.rows["last_ts_ns"] = flood.rows["order_ns"] = START + np.arange(40) * SECOND
    usual = views([1] * 30, [1])
    rows = captured.Halves(usual.train, usual.calibration, usual.benign, flood)

    trial = trials.floor_of(rows, [episode(0, 40)], Config())

    assert (trial.attacks.n_found, trial.benign.n_alerts) == (1, 0)
    assert trial.attacks.findings[0].time_to_alert_s == pytest.approx(15)  # the sixteenth row
    assert trials.floor_of(usual, [episode(0, 40)], Config()).attacks.n_found == 0


def test_who_finds_no_more_than_the_floor_does_not_beat_it():
    """More episodes, or as many with fewer false alerts on held-out rows."""
    finds = trials.attempt(views([2] * 5, [9] * 5), LINEAR, 0, [episode(0, 40)], Config())
    misses = trials.attempt(views([2] * 5, [2] * 5), LINEAR, 0, [episode(0, 40)], Config())
    noisy = trials.attempt(views([9] * 5, [9] * 5), LINEAR, 0, [episode(0, 40)], Config())

    assert trials.beats([finds], misses)
    assert not trials.beats([misses], finds)
    assert not trials.beats([finds], finds)
    assert trials.beats([finds], noisy)
    assert not trials.beats([noisy, misses], noisy)
