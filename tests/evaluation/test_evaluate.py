"""tapwatch evaluate, from the command line."""

import json

import pytest
from click.testing import CliRunner

from tapwatch.alerts import eve
from tapwatch.cli import main
from tests.alerts import made
from tests.evaluation.office import CLIENTS, SCANNER, START_NS, office

USAGE = "want a protocol, or --bundle DIR and CAPTURE..., or --alerts FILE.jsonl"
HEAD = "episode,kind,start_ns,end_ns,src,dst,dst_port,proto,note\n"
S = 1_767_323_045
ROWS = (
    f"1,scan,{S - 5}000000000,{S + 5}000000000,10.0.0.1,10.0.0.2,443,tcp,\n"
    f"2,beacon,{S - 5}000000000,{S + 5}000000000,10.0.0.9,*,*,*,\n"
)


@pytest.fixture
def labels(tmp_path):
    """A truth of two episodes, of which the usual alert finds one."""
    path = tmp_path / "truth.csv"
    path.write_text(HEAD + ROWS)
    return str(path)


@pytest.fixture
def alerts(tmp_path):
    """One alert of the first episode, one of none."""
    path = tmp_path / "alerts.jsonl"
    lines = [made.alert(), made.alert(src="10.0.0.7", alert_id="7")]
    path.write_text("".join(map(eve.line, lines)))
    return str(path)


def run(*arguments):
    """The command's result."""
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def test_holds_an_alerts_file_against_the_truth(labels, alerts, tmp_path):
    """The table says what was found and missed; results.json says the same."""
    out = tmp_path / "report"

    done = run("--labels", labels, "--alerts", alerts, "--hours", "0.5", "-o", out)

    assert done.exit_code == 0, done.output
    assert "1 of 2 episodes found (50%)" in done.stdout
    assert "1 of 2 alerts belong to no episode in 0.5 h (2 an hour)" in done.stdout
    written = json.loads((out / "results.json").read_text())
    assert (written["found"], written["missed"], written["false_alerts_per_hour"]) == (1, ["2"], 2)
    assert (written["labels"], written["alerts_file"]) == (labels, alerts)


def test_prints_json_when_asked(labels, alerts):
    """Standard output is one JSON object; without hours there is no rate."""
    done = run("--labels", labels, "--alerts", alerts, "--json")

    printed = json.loads(done.stdout)
    assert (printed["schema"], printed["found"], printed["hours"]) == (1, 1, None)
    assert printed["episodes"][0]["time_to_alert_s"] == 5.6789


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ([], 2, USAGE),
        (["x.pcap"], 2, USAGE),
        (["--bundle", "b"], 2, USAGE),
        (["nsl_kdd"], 2, "PROTOCOL = 'nsl_kdd': want one of seed-000, "),
        (["--alerts", "a", "--train", "f"], 2, "--train wants a protocol: seed-000, "),
        (["--alerts", "a", "x.pcap"], 2, "either alerts, or bundles and captures (not both)"),
        (["--bundle", "b", "x.pcap", "--hours", "1"], 2, "--hours = 1.0: want no value"),
        (["--alerts", "none.jsonl"], 3, "none.jsonl: cannot be read"),
        (["--alerts", "none.jsonl", "--hours", "0"], 2, "--hours"),
    ],
)
def test_says_what_is_wrong_with_the_command(labels, arguments, exit_code, message):
    """Usage is 2, input that cannot be read is 3."""
    done = run("--labels", labels, *arguments)

    assert done.exit_code == exit_code
    assert message in done.stderr


def test_a_bad_truth_is_refused_before_any_work(tmp_path, alerts):
    """Exit 3, with file and line."""
    path = tmp_path / "truth.csv"
    path.write_text(HEAD + "1,scan,5,4,*,*,*,*,\n")

    done = run("--labels", path, "--alerts", alerts)

    assert done.exit_code == 3
    assert f"tapwatch: {path}:2: end_ns = 4: want at least start_ns" in done.stderr


def test_a_report_that_cannot_be_written_is_an_error(labels, alerts, tmp_path):
    """Exit 1, with the path."""
    (tmp_path / "file").write_text("")

    done = run("--labels", labels, "--alerts", alerts, "-o", tmp_path / "file")

    assert done.exit_code == 1
    assert "results.json: could not be written" in done.stderr


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A bundle of a tiny office, and a capture of another day of it with a port scan at 120 s."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "train.pcap").write_bytes(office(1, 600))
    (folder / "attack.pcap").write_bytes(office(2, 300, scan_at_s=120))
    scan = (START_NS + 120 * 10**9, START_NS + 123 * 10**9)
    (folder / "truth.csv").write_text(
        f"{HEAD}1,scan,{scan[0]},{scan[1]},{SCANNER},{CLIENTS[0]},*,tcp,\n"
        f"2,silence,{scan[0]},{scan[1]},10.9.9.9,*,*,*,never on the wire\n"
    )
    arguments = ["train", folder / "train.pcap", "--view", "flow", "--detector", "ae"]
    arguments += ["-o", folder / "bundle", "--quiet", "--set", "epochs=8"]
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return folder


def test_replays_a_capture_and_holds_its_alerts_against_the_truth(lab):
    """The scan is found within a second, the episode that never was is missed by name."""
    done = run(
        *("--bundle", lab / "bundle", "--labels", lab / "truth.csv", lab / "attack.pcap"),
        *("-o", lab / "report", "--json", "--quiet"),
    )

    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == json.loads((lab / "report" / "results.json").read_text())
    scan, silence = told["episodes"]
    assert scan["found"]
    assert 0 <= scan["time_to_alert_s"] < 1
    assert scan["alerts"] > 50
    assert (silence["found"], told["missed"]) == (False, ["2"])
    assert told["hours"] == pytest.approx(300 / 3600, rel=0.05)
    assert len(told["false_alerts"]) <= 12  # of 1200 flows; the threshold rests on 240 rows


def test_a_replayed_alerts_file_gives_the_same_result(lab):
    """Alerts handed over in memory and alerts read back from their file are one."""
    alerts = lab / "alerts.jsonl"
    bundle = ("--bundle", str(lab / "bundle"), str(lab / "attack.pcap"), "--quiet")
    replayed = CliRunner().invoke(main, ["replay", *bundle, "-o", str(alerts)])
    assert replayed.exit_code == 0, replayed.output

    labels = ("--labels", lab / "truth.csv", "--json")
    from_capture = json.loads(run(*labels, *bundle).stdout)
    from_file = json.loads(run(*labels, "--alerts", alerts).stdout)

    assert from_file["episodes"] == from_capture["episodes"]
    assert from_file["false_alerts"] == from_capture["false_alerts"]


def test_a_bundle_that_was_trained_with_another_filter_is_told(lab):
    """By evaluate as by replay; nothing is said where the packets are the same, or of --quiet."""
    told = "bundle bundle was trained on all packets, and this run takes packets that match"
    common = ("--bundle", str(lab / "bundle"), str(lab / "attack.pcap"))

    for arguments in (
        ("replay", *common),
        ("evaluate", "--labels", str(lab / "truth.csv"), *common),
    ):
        other = CliRunner().invoke(main, [*arguments, "--filter", "tcp  port 80"])
        same = CliRunner().invoke(main, [*arguments])
        silent = CliRunner().invoke(main, [*arguments, "--filter", "tcp port 80", "--quiet"])

        assert f"warning: {told} 'tcp port 80': its threshold is that" in other.stderr
        assert "was trained on" not in same.stderr + silent.stderr
