"""`tapwatch train` and `tapwatch inspect`, as a user sees them."""

import json

import pytest
from click.testing import CliRunner

from tapwatch.cli import main
from tapwatch.features import SCHEMAS
from tests.shared_data import shared_data
from tests.training import made


@pytest.fixture
def rows(tmp_path):
    return str(made.parquet(tmp_path / "rows.parquet"))


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words], env={"SOURCE_DATE_EPOCH": "0"})


def trained(tmp_path, rows, *more):
    words = ("train", rows, "--view", "flow", "--detector", "ae", "-o", tmp_path / "office")
    return run(*words, "--set", "epochs=2", *more)


def test_train_says_what_it_did_and_where(tmp_path, rows):
    """On stderr; stdout is for data, and there is none."""
    result = trained(tmp_path, rows, "--budget", "60")

    assert result.exit_code == 0
    assert result.stdout == ""
    for text in (
        "epoch 1 of at most 2: loss ",
        "rows: 400 read, 288 learnt from, 32 told when to stop, 80 calibrated",
        f"columns: {len(made.SCHEMA.names)} of {len(made.SCHEMA.names)}",
        f"constant, so watched for any other value: {', '.join(made.SCHEMA.names[-2:])}",
        "flagged rows an hour expected, budget 60",
        f"bundle: {tmp_path / 'office'}",
    ):
        assert text in result.stderr


def test_train_says_which_constants_it_left_out(tmp_path, rows):
    """Where they are not to be watched."""
    result = trained(tmp_path, rows, "--budget", "60", "--set", "constants=drop")

    assert result.exit_code == 0
    assert f"columns: {len(made.SCHEMA.names) - 2} of {len(made.SCHEMA.names)}" in result.stderr
    assert f"constant, so left out: {', '.join(made.SCHEMA.names[-2:])}" in result.stderr


def test_quiet_says_only_what_matters(tmp_path, rows):
    """A budget that calibration cannot show is a warning, on stderr and in the bundle."""
    result = trained(tmp_path, rows, "--quiet", "--budget", "1")

    assert result.stderr.startswith("tapwatch: warning: a budget of 1 an hour needs 1 h of")
    assert result.stderr.count("\n") == 1
    manifest = json.loads((tmp_path / "office" / "bundle.json").read_text())
    assert len(manifest["threshold"]["warnings"]) == 1
    assert manifest["training"]["time"] == "1970-01-01T00:00:00Z"


def test_options_with_several_items_may_repeat_or_use_commas(tmp_path, rows):
    """--columns, --drop, --calibrate."""
    names = made.SCHEMA.names
    held = [str(made.parquet(tmp_path / f"{k}.parquet", 50, seed=k)) for k in (1, 2, 3)]
    more = ["--columns", f"{names[0]},{names[1]}", "--columns", names[2], "--drop", names[1]]
    more += ["--calibrate", f"{held[0]},{held[1]}", "--calibrate", held[2], "--set", "hidden=3"]
    result = trained(tmp_path, rows, *more, "--budget", "60")
    manifest = json.loads((tmp_path / "office" / "bundle.json").read_text())

    assert result.exit_code == 0
    assert manifest["preprocess"]["columns"] == [names[0], names[2]]
    assert manifest["threshold"]["calibration_rows"] == 150
    assert manifest["detector"]["parameters"]["hidden"] == [3]


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--set", "epochs"], 2, "tapwatch: --set = 'epochs': want KEY=VALUE"),
        (["--drop", "nope"], 2, "tapwatch: --drop = 'nope': want columns of view flow"),
        (["--calibrate", "/absent"], 3, "tapwatch: /absent: absent: want a capture"),
        (["--device", "tpu"], 2, "'tpu'"),
    ],
)
def test_errors_have_their_exit_code_and_no_traceback(tmp_path, rows, more, code, text):
    """2 usage, 3 input."""
    result = trained(tmp_path, rows, *more)

    assert result.exit_code == code
    assert text in result.stderr
    assert "Traceback" not in result.output


def test_rows_of_another_schema_exit_4(tmp_path):
    """The file, what was found and what is wanted."""
    result = trained(tmp_path, made.parquet(tmp_path / "x", digest="0" * 64))

    assert result.exit_code == 4
    assert "tapwatch.schema_digest = '0000000000000000': want" in result.stderr


def test_inspect_shows_a_bundle(tmp_path, rows):
    """As a table, and as JSON with the whole manifest."""
    trained(tmp_path, rows)
    table = run("inspect", tmp_path / "office")
    found = json.loads(run("inspect", tmp_path / "office", "--json").stdout)

    assert table.exit_code == 0
    for text in (
        "office",
        f"flow/{made.SCHEMA.version}:",
        "conformal",
        "rows.parquet",
        "fits this build",
        "log_z",
    ):
        assert text in table.stdout
    assert (found["kind"], found["fits"], found["misfit"]) == ("bundle", True, None)
    assert found["manifest"] == json.loads((tmp_path / "office" / "bundle.json").read_text())


def test_inspect_shows_classes_configuration_and_what_rows_were_learnt(tmp_path, rows):
    """In words, and what was withheld and why."""
    trained(tmp_path, rows)
    file = tmp_path / "office" / "bundle.json"
    document = json.loads(file.read_text())
    document["preprocess"]["withheld"] = {"a": "constant", "b": "permuted\x1b", "c": "constant"}
    file.write_text(json.dumps(document | {"rows": "wireshark_export"}))
    shown = " ".join(run("inspect", tmp_path / "office").stdout.split())

    [name, *_] = document["preprocess"]["classes"]
    words = document["preprocess"]["classes"][name]
    assert f"classes of {name} {', '.join(words)}; all others are one" in shown
    assert "decode.tunnel_depth = 0, flows.active_timeout_s = 120.0" in shown
    assert "as an export of Wireshark gives them; live rows are reduced to that" in shown
    assert "withheld a, c: constant withheld b: permuted\\x1b" in shown


def test_a_bundle_of_another_configuration_is_refused_by_a_replay(tmp_path, rows, tiny_capture):
    """Exit code 4, the key with what was found and what is wanted."""
    trained(tmp_path, rows)
    config = tmp_path / "deep.toml"
    config.write_text("[decode]\ntunnel_depth = 1\n")
    words = ("replay", tiny_capture, "--bundle", tmp_path / "office", "--quiet")
    result = run(*words, "--config", config)

    assert run(*words).exit_code == 0
    assert result.exit_code == 4
    assert "configuration.decode.tunnel_depth = 0: want 1, the value of this run" in result.stderr


def test_help_names_every_view():
    """In the order of the catalogue; without importing it."""
    for command in ("features", "train"):
        shown = " ".join(run(command, "--help").stdout.split())
        assert f"What becomes a row: {', '.join(SCHEMAS)}." in shown


def test_train_tells_what_a_table_holds(tmp_path):
    """Rows left out, columns withheld, classes; strings of the file cannot reach the terminal."""
    lines = [
        f"{k % 5},{'tcp' if k % 2 else 'udp'},{'http' if k % 2 else 'domain_u'},SF,{k},{k},"
        + "0," * 16
        + f"{k % 7 + 1},1,"
        + "0.00," * 17
        + ("normal." if k % 3 else "\x1b[2Jsmurf.")
        for k in range(90)
    ]
    (tmp_path / "kddcup.data").write_text("\n".join(lines) + "\n")
    words = ("train", tmp_path / "kddcup.data", "--view", "kdd", "--detector", "ae")
    result = run(*words, "-o", tmp_path / "old", "--set", "epochs=1", "--budget", "60")

    assert result.exit_code == 0, result.output
    assert "kddcup.data: 60 of 90 rows are labelled benign or normal and used" in result.stderr
    assert "\x1b" not in result.stderr
    assert "classes of protocol_type: tcp, udp; all others are one" in result.stderr
    quiet = run(*words, "-o", tmp_path / "q", "--set", "epochs=1", "--budget", "60", "--quiet")
    assert quiet.exit_code == 0
    assert "labelled" not in quiet.stderr


def test_inspect_shows_a_bundle_that_does_not_fit(tmp_path, rows):
    """It can still be looked at, and says why it would be refused."""
    trained(tmp_path, rows)
    file = tmp_path / "office" / "bundle.json"
    file.write_text(file.read_text().replace(made.SCHEMA.digest, "e" * 64))
    found = json.loads(run("inspect", tmp_path / "office", "--json").stdout)

    assert found["fits"] is False
    version = made.SCHEMA.version
    assert f"flow/{version}:eeeeeeee: want flow/{version}:" in found["misfit"]


def test_inspect_refuses_a_damaged_bundle(tmp_path, rows):
    """Exit code 4, like every other command that is given one."""
    trained(tmp_path, rows)
    (tmp_path / "office" / "model.safetensors").write_bytes(b"")
    result = run("inspect", tmp_path / "office")

    assert result.exit_code == 4
    assert "model.safetensors: 0 bytes found" in result.stderr


def test_inspect_shows_a_capture():
    """Packets, bytes, times, link types and statuses."""
    capture = shared_data() / "pcaps" / "PcapPlusPlus" / "example.pcap"
    table = run("inspect", capture)
    found = json.loads(run("inspect", capture, "--json").stdout)

    assert "2013-05-02T20:20:33.491822000Z" in table.stdout
    assert (found["kind"], found["packets"], found["link_types"]) == ("capture", 4631, {"1": 4631})
    assert found["decode"]["ok"] == sum(found["decode"].values()) == 4631
    assert found["wire_bytes"] == 3738523


def test_inspect_of_nothing_exits_3(tmp_path):
    """A path where there is nothing is a capture that cannot be opened."""
    assert run("inspect", tmp_path / "absent").exit_code == 3
