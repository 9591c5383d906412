"""tapwatch evaluate PROTOCOL, from the command line."""

import hashlib
import json
import shlex

import pytest
from click.testing import CliRunner

from tapwatch.cli import main
from tests.evaluation.kdd_like import write

TRAIN = {"normal": 200, "neptune": 60, "satan": 30, "guess_passwd": 12, "back": 9, "nmap": 8}
TEST = {"normal": 80, "neptune": 20, "mscan": 15}
CHEAP = ("--detector", "robust_z", "--seeds", 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files in the shape of KDD'99's: packed with dots, plain without, and one of normal rows."""
    folder = tmp_path_factory.mktemp("kdd")
    write(folder / "train.gz", TRAIN, dot=".")
    write(folder / "test", TEST, 1)
    write(folder / "normal", {"normal": 90}, 2)
    return folder


def run(*arguments):
    """The command's result."""
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def told(*arguments):
    """What it printed as JSON."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("protocol", ["nsl-kdd", "kdd99-official"])
def test_runs_on_the_files_as_they_are_distributed(files, tmp_path, protocol):
    """Packed or plain; the table goes to stdout, talk to stderr, results.json is written."""
    given = ("--train", files / "train.gz", "--test", files / "test", *CHEAP)

    done = run(protocol, *given, "-o", tmp_path / "out")

    assert done.exit_code == 0, done.output
    assert "robust_z" in done.stdout
    assert "best column" in done.stdout
    assert f"{protocol}: seeds 0, 1" in done.stderr
    assert "train.gz: 319 rows" in done.stderr
    assert "1/2 official: robust_z, seed 0" in done.stderr
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["section"] for row in written["rows"]] == ["official"]
    assert written == told(protocol, *given)


@pytest.mark.parametrize("protocol", ["nsl-kdd", "kdd99-official"])
def test_without_a_test_file_the_training_file_is_cross_validated(files, protocol):
    """With types held out, that count as novel."""
    document = told(protocol, "--train", files / "train.gz", *CHEAP)

    [row] = document["rows"]
    assert row["section"] == "validation"
    assert len(row["novel_recall"]["values"]) == 2
    assert document["audit"]["validation"]["facts"]["types_held_out"]


def test_kdd99_leaves_repeated_rows_out(files, tmp_path):
    """And says how many there were and are."""
    twice = tmp_path / "twice"
    twice.write_bytes((files / "test").read_bytes() * 2)

    document = told("kdd99-official", "--train", files / "train.gz", "--test", twice, *CHEAP)

    facts = document["audit"]["official"]["facts"]
    assert (facts["test_rows_read"], facts["test_rows_unique"]) == (230, 115)
    assert document["audit"]["official"]["rows"]["test"] == 115


def test_own_takes_one_labelled_file(files):
    """In the order of time: of 200 normal rows the first 120 learn, 40 calibrate, 40 test."""
    document = told("own", "--view", "kdd", "--train", files / "train.gz", *CHEAP)

    assert document["audit"]["one file"]["rows"] == {"train": 120, "calibration": 40, "test": 159}
    assert set(document["rows"][0]["per_class"]) == {"dos", "probe", "r2l"}


def test_own_takes_a_benign_file_and_a_labelled_one(files):
    """All of the second tests; with no types in the first, none is novel."""
    given = ("--train", files / "normal", "--test", files / "test")

    document = told("own", "--view", "kdd", *given, *CHEAP)

    assert document["audit"]["two files"]["rows"] == {"train": 72, "calibration": 18, "test": 115}
    assert document["audit"]["two files"]["novel_anomalies"] == 0


def test_own_takes_labels_from_a_list(files, tmp_path):
    """One a line, in place of those that the rows have."""
    labels = tmp_path / "labels"
    labels.write_text("normal\n" * 60 + "flood\n" * 30)
    given = ("--train", files / "normal", "--labels", labels)

    document = told("own", "--view", "kdd", *given, *CHEAP)

    assert document["audit"]["one file"]["classes"] == {"normal": 12, "flood": 30}
    assert [file["used_for"] for file in document["data"]] == ["train", "labels"]


def test_labels_without_end_are_told_as_one(files, tmp_path):
    """The 32 most frequent stay; a file may have as many as it has rows."""
    labels = tmp_path / "labels"
    labels.write_text("normal\n" * 30 + "".join(f"kind {k // 2}\n" for k in range(58)) + "a\nb\n")
    labels.write_text(labels.read_text().replace("kind 0\n", "kind 1\n"))
    given = ("--train", files / "normal", "--labels", labels, *CHEAP)

    document = told("own", "--view", "kdd", *given)

    assert document["audit"]["one file"]["classes"]["kind 1"] == 4
    many = tmp_path / "many"
    many.write_text("normal\n" * 40 + "".join(f"kind {k}\n" for k in range(50)))
    given = ("--train", files / "normal", "--labels", many, *CHEAP)
    classes = told("own", "--view", "kdd", *given)["audit"]["one file"]["classes"]
    assert (len(classes), classes["other"]) == (34, 18)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["nsl-kdd"], 2, "protocol nsl-kdd wants --train FILE: KDDTrain+.txt, plain or gzip"),
        (["own", "--view", "kdd"], 2, "protocol own wants --train FILE: a table"),
        (["own", "--train", "TRAIN"], 2, "protocol own wants --view VIEW"),
        (["nsl-kdd", "--train", "TRAIN", "x.pcap"], 2, "INPUT = 'x.pcap': want no value"),
        (["nsl-kdd", "--train", "TRAIN", "--labels", "x"], 2, "--labels = 'x': want no value"),
        (["nsl-kdd", "--train", "TRAIN", "--view", "flow"], 2, "--view = 'flow': want kdd"),
        (["nsl-kdd", "--train", "TRAIN", "--alerts", "x"], 2, "--alerts = 'x': want no value"),
        (["nsl-kdd", "--train", "TRAIN", "--hours", "2"], 2, "--hours = '2.0': want no value"),
        (["nsl-kdd", "--train", "TRAIN", "--filter", "x"], 2, "--filter = 'x': want no value"),
        (
            ["nsl-kdd", "--train", "TRAIN", "--detector", "x"],
            2,
            '--detector = \'x\': want one of "ae 64-8-64", "vae',
        ),
        (["nsl-kdd", "--train", "TRAIN", *CHEAP[:2], "--detector", "x"], 2, "r = 'x': want one"),
        (
            ["own", "--view", "kdd", "--train", "TRAIN", "--detector", "x"],
            2,
            "'x': want one of \"ae",
        ),
        (["dagmm", "--train", "none", "--detector", "x"], 2, "--detector = 'x': want one of"),
        (["nsl-kdd", "--train", "TRAIN", "--bundle", "b"], 2, "--bundle = 'b': want no value"),
        (["nsl-kdd", "--train", "TRAIN", "--workers", "2"], 2, "--workers = 2: want 1"),
        (["nsl-kdd", "--train", "TRAIN", "--seeds", "0"], 2, "--seeds"),
        (["nsl-kdd", "--train", "none"], 3, "none: absent"),
        (["nsl-kdd", "--train", "NORMAL"], 2, "--train = 'normal rows alone': want attacks too"),
        (["nsl", "--train", "TRAIN"], 2, "PROTOCOL = 'nsl': want one of seed-000, seed-001"),
        (["--train", "TRAIN"], 2, "--train wants a protocol: seed-000, "),
    ],
)
def test_wrong_use_is_told_what_is_wanted(files, arguments, exit_code, message):
    """Usage is 2, input that cannot be read is 3; the message names the option and the wish."""
    places = {"TRAIN": str(files / "train.gz"), "NORMAL": str(files / "normal")}

    done = run(*(places.get(word, word) for word in arguments))

    assert done.exit_code == exit_code, done.output
    assert message in done.stderr


def test_a_folder_that_cannot_be_made_stops_before_any_work(files, tmp_path):
    """Exit 1, and no fit was told of."""
    (tmp_path / "file").write_text("")

    done = run("nsl-kdd", "--train", files / "train.gz", "-o", tmp_path / "file" / "x", *CHEAP)

    assert done.exit_code == 1
    assert "could not be made" in done.stderr
    assert "validation" not in done.stderr


@pytest.mark.parametrize("protocol", ["nsl-kdd", "kdd99-official"])
@pytest.mark.parametrize("option", ["--train", "--test"])
def test_rows_without_labels_are_refused(files, tmp_path, protocol, option):
    """A file of 41 columns: none of its rows may count as an attack, nor as a normal one."""
    bare = tmp_path / "bare"
    lines = (files / "test").read_text().splitlines()
    bare.write_text("".join(line.rsplit(",", 1)[0] + "\n" for line in lines))
    given = {"--train": files / "train.gz", "--test": files / "test", option: bare}

    done = run(protocol, *(word for pair in given.items() for word in pair), *CHEAP)

    assert done.exit_code == 2, done.output
    found = f"{option} = '115 of 115 rows without a label': want a label for every row"
    assert found in done.stderr
    assert "--labels" not in done.stderr  # the protocol has no such option


def test_labels_that_are_no_known_type_are_warned_of(files, tmp_path):
    """They count as attacks, which is wrong of a misspelt normal."""
    odd = tmp_path / "odd"
    odd.write_text((files / "test").read_text().replace("neptune", "Normall"))

    [warning] = [
        line
        for line in told("nsl-kdd", "--train", files / "train.gz", "--test", odd, *CHEAP)["audit"][
            "official"
        ]["warnings"]
        if "no known attack type" in line
    ]

    assert warning.startswith("17.4% of the test rows")
    assert warning.endswith("'Normall'")


def test_own_takes_any_detector_there_is(files):
    """One that is no usual contender of it too."""
    given = ("--train", files / "train.gz", "--detector", "rarity", "--seeds", 1)

    assert [row["detector"] for row in told("own", "--view", "kdd", *given)["rows"]] == ["rarity"]


def test_of_rows_of_one_kind_no_floor_is_measured(files):
    """Neither beaten nor not, and the reader is told why."""
    given = ("--train", files / "train.gz", "--test", files / "normal", *CHEAP)

    document = told("nsl-kdd", *given)
    printed = run("nsl-kdd", *given).stdout

    assert [row["beats_floor"] for row in document["rows"]] == [None]
    assert "beats_floor" not in document["floor"][0]
    assert document["audit"]["official"]["warnings"][0].startswith("all test rows are normal")
    assert "floor: not measured" in printed
    assert "below the floor" not in printed


def test_the_command_on_record_can_be_given_to_a_shell(files, tmp_path):
    """Names with spaces are one word each; the configuration is on record with its digest."""
    train, config = tmp_path / "my train", tmp_path / "my $config.toml"
    train.write_bytes((files / "train.gz").read_bytes())
    config.write_text("")

    document = told("nsl-kdd", "--train", train, *CHEAP, "--config", config)

    words = ["tapwatch", "evaluate", "nsl-kdd", "--train", "my train", "--detector", "robust_z"]
    words += ["--seeds", "2", "--config", "my $config.toml"]
    assert shlex.split(document["command"]) == words
    on_record = document["data"][-1]
    assert (on_record["name"], on_record["used_for"]) == ("my $config.toml", "config")
    assert on_record["sha256"] == hashlib.sha256(b"").hexdigest()


def test_quiet_says_nothing(files):
    """But the table."""
    done = run("nsl-kdd", "--train", files / "train.gz", *CHEAP, "--quiet")

    assert done.stderr == ""
    assert done.stdout
