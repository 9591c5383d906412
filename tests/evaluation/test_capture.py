"""Views and detectors against episodes: halves, thresholds, alerts."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tapwatch.cli import main
from tapwatch.config import Config
from tapwatch.errors import ConfigError
from tapwatch.evaluation import captured, trials
from tapwatch.evaluation.protocol import Contender, Context, Inputs
from tapwatch.evaluation.protocols import capture
from tapwatch.evaluation.truth import Episode
from tapwatch.features import schema_of
from tapwatch.tables import ROW, FeatureBatch
from tapwatch.training.fit import fit_rows
from tests.alerts.made import row
from tests.conftest import pcap_bytes
from tests.evaluation.measured import Heard
from tests.evaluation.office import CLIENTS, SCANNER, START_NS, office

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


HEAD = "episode,kind,start_ns,end_ns,src,dst,dst_port,proto,note\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Captures of a tiny office, one of them with a scan of ports at 30 s, and what happened."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "train.pcap").write_bytes(office(1, 60))
    (folder / "held.pcap").write_bytes(office(2, 60))
    (folder / "attack.pcap").write_bytes(office(3, 60, scan_at_s=30))
    scan = (START_NS + 30 * SECOND, START_NS + 33 * SECOND)
    (folder / "truth.csv").write_text(
        f"{HEAD}1,scan,{scan[0]},{scan[1]},{SCANNER},{CLIENTS[0]},*,tcp,\n"
    )
    return folder


def evaluate(lab, *more):
    """What the command says."""
    given = ["evaluate", "capture", "--train", lab / "train.pcap", "--test", lab / "attack.pcap"]
    given += ["--labels", lab / "truth.csv", lab / "held.pcap", "--quiet", "--json", *more]
    return CliRunner().invoke(main, [*map(str, given)])


def test_views_are_measured_side_by_side(lab):
    """Each has its floor; files are told in packets, whatever the views make of them."""
    views = ("--view", "flow", "--view", "host")

    done = evaluate(lab, *views, "--detector", "pca", "--filter", "tcp", "--drop", "flows_in")

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    lines, episodes = (table["rows"] for table in told["tables"])
    assert [line[:3] for line in lines] == [
        [view, name, 1]
        for view in ("flow", "host")
        for name in (trials.FLOOR, "pca", "pca, linear")
    ]
    assert lines[-1][3] == 1  # a host that opens a hundred flows
    assert episodes[0][:2] == ["1", "scan"]
    assert "flow" in episodes[0][2]
    sizes = {file["name"]: (file["rows"], file["unit"]) for file in told["data"]}
    assert sizes["truth.csv"] == (1, "episodes")
    for name in ("train.pcap", "held.pcap", "attack.pcap"):
        assert sizes[name] == (captured.count_packets(lab / name), "packets")
    assert told["command"] == (
        "tapwatch evaluate capture held.pcap --train train.pcap --test attack.pcap "
        "--labels truth.csv --view flow --view host --filter tcp --drop flows_in --detector pca"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--view", "flow", "--view", "x"), "view = 'x': want one of packet, flow"),
        (("--view", "flow", "--drop", "flows_in"), "--drop = 'flows_in': want columns of view"),
        (("--view", "flow", "--columns", "dns_names"), "--columns = 'dns_names'"),
        (("--view", "flow", "--filter", "udp"), "train rows = 0: want at least 1 row of view flow"),
    ],
)
def test_options_that_fit_no_view_are_refused(lab, more, message):
    """Before anything is fitted."""
    done = evaluate(lab, "--detector", "robust_z", *more)

    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize("wanted", [None, "udp"])
def test_captures_without_rows_are_named(lab, wanted):
    """With the filter where one is given, and without a word of it where none is."""
    (lab / "silent.pcap").write_bytes(pcap_bytes([]))
    inputs = Inputs(train=(lab / "silent.pcap",), filter=wanted)

    with pytest.raises(ConfigError) as refused:
        capture._extracted(made_context(inputs), ["flow"], [])

    assert str(refused.value) == (
        "train rows = 0: want at least 1 row of view flow in silent.pcap"
        + (" with --filter 'udp'" if wanted else "")
    )


def test_views_without_one_of_the_columns_are_left_out_before_extraction(monkeypatch):
    """Columns hold for views that have them; where no view has one left, nothing is extracted."""
    asked = ("host", "flow")

    left = capture._check_columns(Inputs(columns=("beacon_regularity",)), asked)

    assert left == {"flow": "--columns and --drop leave no column of it"}
    assert capture._check_columns(Inputs(drop=HOST.names[1:]), asked) == {}
    assert list(capture._check_columns(Inputs(drop=HOST.names), asked)) == ["host"]
    monkeypatch.setattr(capture, "_extracted", None)
    inputs = Inputs(views=asked, columns=("flows_out",), drop=("flows_out",))
    with pytest.raises(ConfigError, match=r"--drop = .*at least one column left .* host or flow"):
        capture.PROTOCOL.run(made_context(inputs))


def made_context(inputs):
    """Who listens remembers."""
    return Context(capture.PROTOCOL, inputs, (0,), ("robust_z",), Heard(), Config())


def test_a_view_with_rows_in_one_half_alone_is_left_out(monkeypatch, tmp_path):
    """There is no threshold of nothing and no rate of nothing; the note and the facts name it."""
    (tmp_path / "truth.csv").write_text(f"{HEAD}1,x,{START},{START + SECOND},10.0.0.1,*,*,*,\n")
    usual = hosts(np.arange(20) % 5)
    late = hosts([1] * 3, first_s=90)
    flow = schema_of("flow")
    flows = FeatureBatch(flow, np.zeros((3, len(flow.columns)), np.float32), late.rows)
    given = {
        "train": {"host": usual, "flow": flows},
        "held out": {"host": usual, "flow": flows},
        "test": {"host": usual, "flow": flows},
    }
    monkeypatch.setattr(capture, "_extracted", lambda *_: given)
    inputs = Inputs(views=("host", "flow"), labels=tmp_path / "truth.csv")
    context = made_context(inputs)

    results = capture.PROTOCOL.run(context)

    why = "of its held-out rows 0 are in the first half of the time and 3 in the second"
    assert f"view flow is left out: {why}" in context.talk.notes
    assert results.facts == {"view flow is left out": why}
    assert {line[0] for line in results.tables[0].rows} == {"host"}
    given["held out"] = {"flow": hosts([1] * 2, first_s=0)}
    given["held out"]["flow"].rows["last_ts_ns"] = START
    with pytest.raises(ConfigError, match=r"view flow: of its held-out rows 2 .* 0 in the second"):
        capture.PROTOCOL.run(context)


def test_without_a_view_all_but_the_widest_are_measured():
    """115 statistics of AfterImage say little that 100 do not; each view is measured once."""
    assert capture._views(Inputs()) == ("packet", "flow", "kdd", "afterimage", "host")
    assert capture._views(Inputs(views=("host", "flow", "host"))) == ("host", "flow")


def test_what_takes_long_has_fewer_seeds_and_views_unless_it_is_named():
    """Of all detectors, each with seeds where it draws anything."""
    heard = Context(capture.PROTOCOL, Inputs(), (0, 1, 2, 3, 4), (), Heard(), Config())
    named = replace(heard, only=("ae",))
    ae, iforest = Contender("ae", "ae"), Contender("iforest", "iforest")

    assert len(capture._seeds(ae, heard)) == 3
    assert len(capture._seeds(ae, named)) == len(capture._seeds(iforest, heard)) == 5
    assert capture._seeds(Contender("pca", "pca"), heard) == (0,)
    assert capture._is_tried(ae, "packet", 20_000)
    assert not capture._is_tried(ae, "packet", 20_001)
    assert capture._is_tried(iforest, "packet", 20_001)
    assert not capture._is_tried(Contender("lstm_ae", "lstm_ae"), "flow", 10)


def test_sequences_of_the_second_half_go_on_where_the_first_ended():
    """As the capture does; those of another capture begin anew."""
    rows = captured.Halves(hosts([1, 2]), hosts([3, 4]), hosts([5], first_s=10), hosts([6]))
    column = HOST.names.index("flows_out")

    blocks = captured.blocks_of(rows, 3, Config())

    assert blocks.train[:, :, column].tolist()[1][1:] == [1, 2]
    assert blocks.benign[:, :, column].tolist() == [[3, 4, 5]]
    assert np.isnan(blocks.attacks[0, :2]).all()
    assert captured.blocks_of(rows, 0, Config()).train is rows.train.values


def test_the_shorter_list_of_episodes_is_told():
    """Missed ones, or all but those that were found."""
    kinds = ["scan", "flood", "beacon"]

    assert capture._told(["scan"], kinds) == "scan"
    assert capture._told(["scan", "flood"], kinds) == "all but beacon"
    assert capture._told(kinds, kinds) == "all"
    assert capture._told([], kinds) == ""


def test_a_contender_learns_from_so_many_rows_at_most(monkeypatch):
    """From all of them where there is no limit."""
    fitted = []

    def counted(values, *more, **options):
        fitted.append(len(values))
        return fit_rows(values, *more, **options)

    monkeypatch.setattr(trials, "fit_rows", counted)
    for one in (LINEAR, replace(LINEAR, max_rows=5)):
        trials.attempt(views([2], [2]), one, 0, [], Config())

    assert fitted == [200, 5]
