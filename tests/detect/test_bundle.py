"""Bundles: what is written is what is loaded, and everything else is refused by name."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import load, save

from tapwatch.detect import bundle as bundle_module
from tapwatch.detect import load_bundle
from tapwatch.detect.bundle import check_target, write_bundle
from tapwatch.detect.registry import DETECTORS
from tapwatch.errors import ArtifactError, ConfigError, SinkError
from tests.detect import made

SCHEMA = made.schema()
SCHEMAS = {"flow": SCHEMA}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "b"
    made.train(path, SCHEMA)
    return path


@pytest.fixture
def path(original, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(original, tmp_path / "b")


def edit(path, change):
    """Rewrite bundle.json through `change`, which works on the parsed document."""
    file = path / "bundle.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def put(document, key, value):
    *parents, last = key.split(".")
    for parent in parents:
        document = document[parent]
    if value is DELETED:
        del document[last]
    else:
        document[last] = value


DELETED = object()


def put_arrays(path, arrays):
    """Write arrays and put their size and checksum on record, as a careful forger would."""
    content = arrays if isinstance(arrays, bytes) else save(arrays)
    (path / "model.safetensors").write_bytes(content)
    described = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit(path, lambda d: put(d, "arrays", described))


def _without(arrays, key):
    return {name: array for name, array in arrays.items() if name != key}


def tensors(header):
    """A safetensors file with this header and two bytes of data."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"xx"


def message_of(path):
    """What the refusal says; nothing where the bundle loads."""
    try:
        load_bundle(path, SCHEMAS)
    except ArtifactError as error:
        return str(error)
    return ""


def refusal(path, schemas=SCHEMAS):
    with pytest.raises(ArtifactError) as refused:
        load_bundle(path, schemas)
    assert refused.value.exit_code == 4
    return str(refused.value)


@pytest.mark.parametrize("detector", sorted(DETECTORS))
def test_what_is_loaded_scores_as_what_was_written(detector, tmp_path):
    """Written, loaded, written again: the same two files, byte for byte."""
    made.train(tmp_path / "b", SCHEMA, detector=detector)
    loaded = load_bundle(tmp_path / "b", SCHEMAS)
    os.rename(tmp_path / "b", tmp_path / "first")
    write_bundle(
        tmp_path / "b", loaded.manifest, loaded.preprocess, loaded.detector, loaded.calibration
    )

    assert sorted(file.name for file in (tmp_path / "b").iterdir()) == [
        "bundle.json",
        "model.safetensors",
    ]
    for name in ("bundle.json", "model.safetensors"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    assert (loaded.name, loaded.view, loaded.detector.name) == ("b", "flow", detector)
    assert "c05" not in loaded.preprocess.columns


def test_same_rows_and_seed_give_the_same_files(original, tmp_path):
    """Byte for byte; another seed gives other arrays."""
    made.train(tmp_path / "b", SCHEMA)
    made.train(tmp_path / "other" / "b", SCHEMA, seed=1)

    for name in ("bundle.json", "model.safetensors"):
        assert (tmp_path / "b" / name).read_bytes() == (original / name).read_bytes()
    other = (tmp_path / "other" / "b" / "model.safetensors").read_bytes()
    assert other != (original / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("name", DELETED, "name: absent: want it"),
        ("name", "../b", "name = '../b': want"),
        ("surplus", 1, "surplus: not known: want only the keys of format 1"),
        ("threshold.surplus", 1, "threshold.surplus: not known"),
        ("format", 2, "format = 2: want 1 (the bundle is of another tapwatch)"),
        ("format", "1", "format = '1': want 1"),
        ("detector.name", "magic", "detector.name = 'magic': want one of ae, aegmm"),
        ("detector.parameters.epochs", "6", "detector.parameters.epochs = '6': want"),
        ("detector.parameters.epochs", 0, "detector.parameters.epochs = 0: want"),
        ("detector.parameters.depth", 3, "detector.parameters.depth: not known"),
        (
            "detector.parameters.hidden",
            [5],
            "array layer0.weight: float32 (2, 11): want float32 (5",
        ),
        ("detector.parameters.hidden", [1 << 40], "detector.parameters.hidden.0 = 1099511627776"),
        ("threshold.value", "0.5", "threshold.value = '0.5': want a valid number"),
        ("threshold.value", None, "threshold.value = None: want a valid number"),
        ("threshold.value", True, "threshold.value = True: want a valid number"),
        (
            "threshold.method",
            "magic",
            "threshold.method = 'magic': want 'conformal', 'quantile' or 'pot'",
        ),
        ("threshold.calibration_rows", 399, "array exceed: want values that fall from 399 to 0"),
        ("preprocess.method", "log", "preprocess.method = 'log': want 'log_z'"),
        ("preprocess.clip", 0, "preprocess.clip = 0: want greater than 0"),
        ("preprocess.columns", [], "preprocess.columns = a list: want"),
        ("preprocess.columns", ["c01", "c00"], "preprocess.columns: want columns of the schema"),
        ("preprocess.columns", ["c00", "c00"], "preprocess.columns: want columns of the schema"),
        ("preprocess.columns", ["c00", "nope"], "preprocess.columns: want columns of the schema"),
        ("preprocess.columns", ["c00"], "array resolution: float32 (11,): want float32 (1,)"),
        ("training.seed", 1.5, "training.seed = 1.5: want a valid integer"),
        ("training.seed", 10**400, "training.seed = an integer beyond 64 bits: want"),
        ("training.inputs", {}, "training.inputs = a dict: want a valid list"),
        ("arrays.bytes", 7, "bytes found: want 7, arrays.bytes of bundle.json"),
        ("arrays.bytes", 1 << 40, "arrays.bytes = 1099511627776: want less than or equal to"),
        ("arrays.sha256", "0" * 64, "found: want " + "0" * 64 + ", arrays.sha256 of bundle.json"),
        ("feature_schema.view", "packet", "feature_schema.view = 'packet': want one of flow"),
    ],
)
def test_every_wrong_value_is_refused_by_name(path, key, value, text):
    """File, key, what was found, what is wanted."""
    edit(path, lambda document: put(document, key, value))
    message = refusal(path)

    assert text in message
    assert message.startswith((f"{path}/bundle.json: ", f"{path}/model.safetensors: "))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": NaN}',
        b'{"format": Infinity}',
        b'{"format": 1, "format": 1}',
        b'{"format": ' + b"9" * 5000 + b"}",
        b'{"format": 1e999}',
        b'{"\\ud800": 1, "format": 1}',
        b'{"format": 1, "name": "\\ud800"}',
        b'{"format": true}',
        b" " * ((4 << 20) + 1),
    ],
)
def test_hostile_manifests_are_refused_like_any_other(path, content):
    """Empty, deep, huge, not UTF-8, not JSON, not an object: always an ArtifactError."""
    (path / "bundle.json").write_bytes(content)

    assert refusal(path).startswith(f"{path}/bundle.json: ")


def test_every_value_replaced_by_every_kind_is_refused_or_loaded(path):
    """No replacement of any one value gives another exception than ArtifactError."""
    document = json.loads((path / "bundle.json").read_text())

    def places(table, prefix=""):
        for key, value in table.items():
            yield prefix + key
            if isinstance(value, dict):
                yield from places(value, f"{prefix}{key}.")

    messages = []
    for place in list(places(document)):
        for value in (None, -1, 1e308, "x" * 5000, [], {}, [[1]], True, {"a": {"b": 1}}):
            damaged = json.loads(json.dumps(document))
            put(damaged, place, value)
            (path / "bundle.json").write_text(json.dumps(damaged))
            messages.append(message_of(path))

    assert sum(map(bool, messages)) > 300
    assert max(map(len, messages)) < 2000


@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors"])
def test_absent_and_odd_files_are_refused(path, name):
    """Absent, a directory, a FIFO that would hang a reader."""
    file = path / name
    file.unlink()
    assert refusal(path) == f"{file}: absent: want it in every bundle"

    file.mkdir()
    assert refusal(path).startswith(f"{file}: ")

    file.rmdir()
    os.mkfifo(file)
    assert refusal(path) == f"{file}: not a regular file: want one"


def test_a_path_that_is_no_bundle_is_refused(tmp_path):
    """Nothing there, or a file where a directory is wanted."""
    (tmp_path / "file").write_text("")

    assert "absent" in refusal(tmp_path / "nothing")
    assert "cannot be read" in refusal(tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: a | {"detector.layer0.bias": a["detector.layer0.bias"][:-1]}, "layer0.bias"),
        (lambda a: a | {"detector.layer9.bias": np.zeros(1)}, "detector: array layer9.bias"),
        (lambda a: a | {"preprocess.scale": a["preprocess.scale"] * 0}, "array scale"),
        (lambda a: _without(a, "preprocess.resolution"), "array resolution: absent"),
        (
            lambda a: a | {"preprocess.resolution": a["preprocess.resolution"] * np.nan},
            "array resolution: holds NaN",
        ),
        (
            lambda a: a | {"preprocess.resolution": -a["preprocess.resolution"]},
            "array resolution: np.float32(-1.0) found: want values above 0",
        ),
        (lambda a: a | {"preprocess.low": a["preprocess.low"] * np.nan}, "array low: holds NaN"),
        (lambda a: a | {"preprocess.more": np.zeros(1)}, "array more: not known"),
        (lambda a: a | {"calibration.error": a["calibration.error"] * 0}, "array error"),
        (lambda a: {k: v for k, v in a.items() if not k.startswith("cal")}, "array error"),
    ],
)
def test_every_array_is_checked(path, change, text):
    """Shape, type, finiteness, sense, and that there is no other: with a checksum that fits."""
    put_arrays(path, change(load((path / "model.safetensors").read_bytes())))
    message = refusal(path)

    assert text in message
    assert message.startswith(f"{path}/model.safetensors: ")


def test_an_array_of_no_part_is_refused(path):
    """Also one whose name starts like no part of a bundle."""
    arrays = load((path / "model.safetensors").read_bytes())
    put_arrays(path, arrays | {"stowaway": np.zeros(3)})

    assert "array stowaway: not known" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"\xff" * 64,
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        tensors({"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}),
        tensors({"a": {"dtype": "F32", "shape": [99999999], "data_offsets": [0, 2]}}),
        tensors({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 2]}}),
        tensors({"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}),
        tensors({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}),
    ],
)
def test_files_that_are_no_safetensors_are_refused(path, content):
    """Whatever the parser thinks of them."""
    put_arrays(path, content)

    assert refusal(path).startswith(f"{path}/model.safetensors: ")


@pytest.mark.parametrize(
    ("running", "text"),
    [
        (made.schema(c03={"unit": "B"}), "c03: unit '1' -> 'B'"),
        (made.schema(c03={"formula": "other"}), "c03: defined differently"),
        (made.schema(c03={"dtype": "int64"}), "c03: defined differently"),
        (made.schema(11), "not in this build: c11"),
        (made.schema(13), "not in the bundle: c12"),
        (made.schema(c03={"name": "d"}), "not in the bundle: d; not in this build: c03"),
        (made.schema(version=2), "flow/2:"),
        (made.schema(25), "and 5 more"),
        (
            made.schema(c00={"name": "c01", "formula": "f1"}, c01={"name": "c00", "formula": "f0"}),
            "the columns stand in another order",
        ),
    ],
)
def test_a_bundle_for_another_schema_is_refused_and_the_columns_named(path, running, text):
    """Both schemas are named, and what differs between them."""
    message = refusal(path, {"flow": running})

    assert text in message
    assert (
        f"flow/1:{SCHEMA.digest[:8]}: want flow/{running.version}:{running.digest[:8]}" in message
    )


def test_a_schema_that_is_not_that_of_its_digest_is_refused(path):
    """The columns of the manifest are held against the schema even where the digest is right."""
    edit(path, lambda document: put(document["feature_schema"]["columns"][3], "unit", "B"))

    assert "feature_schema.columns: not those of digest" in refusal(path)


def test_writing_is_all_or_nothing(path, monkeypatch):
    """A failure in the middle leaves the bundle that was there, and no scraps beside it."""
    loaded = load_bundle(path, SCHEMAS)
    before = {file.name: file.read_bytes() for file in path.iterdir()}

    def full_disk(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_module.os, "fsync", full_disk)
    with pytest.raises(SinkError, match=r"bundle cannot be written: .*No space left"):
        write_bundle(path, loaded.manifest, loaded.preprocess, loaded.detector, loaded.calibration)

    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert [entry.name for entry in path.parent.iterdir()] == ["b"]


def test_a_bundle_may_be_replaced_but_nothing_else(path, tmp_path):
    """A directory with other things in it, or a file, is not overwritten."""
    loaded = load_bundle(path, SCHEMAS)
    write_bundle(path, loaded.manifest, loaded.preprocess, loaded.detector, loaded.calibration)
    assert load_bundle(path, SCHEMAS).digest == loaded.digest
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="it holds other files, which would be lost"):
        check_target(tmp_path / "full")
    with pytest.raises(ConfigError, match="want a directory"):
        check_target(tmp_path / "full" / "thesis.tex")
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty")
    check_target(tmp_path / "nothing")


KEY = "decode.tunnel_depth"
TRAINED = {KEY: 0, "flows.idle_timeout_s": 60.0, "windows.lags": [1.0, 5.0]}


@pytest.fixture
def configured(tmp_path):
    made.train(tmp_path / "c", SCHEMA, configuration=TRAINED)
    return tmp_path / "c"


def running(**changes):
    """What the rows of a run depend on; `changes` replaces or, by None, leaves out keys."""
    settings = TRAINED | {key.replace("__", "."): value for key, value in changes.items()}
    return lambda view: {k: v for k, v in settings.items() if v is not None and view == "flow"}


def test_a_bundle_of_the_same_configuration_is_loaded(configured):
    """Every key that the view depends on, and its value; without settings it is not looked at."""
    assert load_bundle(configured, SCHEMAS, running()).manifest.configuration == TRAINED
    assert load_bundle(configured, SCHEMAS).manifest.configuration == TRAINED


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"decode__tunnel_depth": 2}, "configuration.decode.tunnel_depth = 0: want 2, the value"),
        ({"flows__idle_timeout_s": 60.5}, "flows.idle_timeout_s = 60.0: want 60.5, the value"),
        ({"windows__lags": [1.0]}, "configuration.windows.lags = [1.0, 5.0]: want [1.0], the"),
        ({"kdd__host_window": 256}, "configuration.kdd.host_window: absent: want it"),
        ({"windows__lags": None}, "configuration.windows.lags: want only keys that flow depends"),
    ],
)
def test_a_bundle_of_another_configuration_is_refused(configured, changes, text):
    """The key, what was found, what is wanted, and what can be done."""
    with pytest.raises(ArtifactError) as refused:
        load_bundle(configured, SCHEMAS, running(**changes))

    assert text in str(refused.value)
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("value", [False, True])
def test_true_and_false_are_no_numbers_of_the_configuration(configured, value):
    """To Python they are 1 and 0."""
    edit(configured, lambda document: document["configuration"].update({KEY: value}))
    with pytest.raises(ArtifactError, match=f"{KEY} = {value}: want {int(value)}, the value"):
        load_bundle(configured, SCHEMAS, running(**{KEY: int(value)}))


def test_a_bundle_of_an_export_knows_nothing_of_flows(tmp_path):
    """Their timeouts change no column that an export gives, so that any will do; the rest holds."""
    schema = made.schema(c00={"export": ("*",)})
    made.train(tmp_path / "c", schema, rows="wireshark_export", configuration={KEY: 0})
    schemas = {"flow": schema}
    for timeout_s in (60.0, 5.0):
        settings = {KEY: 0, "flows.idle_timeout_s": timeout_s}
        assert load_bundle(tmp_path / "c", schemas, lambda view, of=settings: of)
    with pytest.raises(ArtifactError, match=f"{KEY} = 0: want 2"):
        load_bundle(tmp_path / "c", schemas, lambda view: {KEY: 2, "flows.idle_timeout_s": 60.0})


def test_rows_of_an_export_are_of_a_view_that_an_export_can_fill(path):
    """None of these columns is in one: all rows would be alike."""
    edit(path, lambda document: put(document, "rows", "wireshark_export"))

    assert "rows = 'wireshark_export': want 'live', for no export holds" in refusal(path)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("constant", ["c99"], "preprocess.constant: 'c99': want columns of view flow"),
        ("dropped", ["c99"], "preprocess.dropped: 'c99': want columns of view flow that"),
        ("dropped", ["c01"], "preprocess.dropped: 'c01': want columns of view flow that"),
        ("withheld", {"c99\x1b": "lost"}, "preprocess.withheld: 'c99\\x1b': want columns of view"),
        ("withheld", {"c01": "lost"}, "preprocess.withheld: 'c01': want columns of view flow that"),
    ],
)
def test_what_is_left_out_are_columns_that_are_not_used(path, key, value, text):
    """A column that is not known, or is used after all, is refused."""
    edit(path, lambda document: put(document, f"preprocess.{key}", value))

    assert text in refusal(path)


def test_a_bundle_that_does_not_say_its_configuration_is_refused(path):
    """Where the run has one to compare with; nothing is assumed."""
    edit(path, lambda document: document.pop("configuration"))
    with pytest.raises(
        ArtifactError, match=r"configuration\.decode\.tunnel_depth: absent: want it"
    ):
        load_bundle(path, SCHEMAS, running())


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("rows", "guessed", "rows = 'guessed': want 'live' or 'wireshark_export'"),
        ("configuration", [], "configuration = a list: want a valid dictionary"),
        ("configuration", {"a": {"b": 1}}, "configuration.a = a dict: want true, false, a number"),
        ("configuration", {"a": None}, "configuration.a = None: want true, false, a number, at"),
        ("configuration", {"a": [1, "x"]}, "configuration.a = a list: want true, false, a number"),
        ("configuration", {"a": [0.5] * 65}, "configuration.a = a list: want true, false, a num"),
        ("configuration", {"a": "x" * 1025}, "configuration.a = 'xxx"),
        ("configuration", {"a": 1 << 63}, "configuration.a = 9223372036854775808: want true"),
        ("configuration", {str(k): 1 for k in range(65)}, "configuration = a dict: want"),
        ("preprocess.withheld", {"c01": 1}, "preprocess.withheld.c01 = 1: want a valid string"),
        ("training.benign", "all", "training.benign = 'all': want a valid list"),
    ],
)
def test_what_is_said_of_the_rows_is_checked(path, key, value, text):
    """Where they came from, what they depend on, what was left out."""
    edit(path, lambda document: put(document, key, value))

    assert text in refusal(path)


def test_a_column_is_another_where_its_classes_or_its_export_are():
    """The fingerprint names what a model depends on; of plain columns it is as ever."""
    from tapwatch.detect.manifest import fingerprint
    from tapwatch.tables import Column

    def column(**fields):
        return Column("c", "1", "int64", "f", source="made", meaning="made", **fields)

    kinds = [
        column(),
        column(categories=("a", "b")),
        column(categories=("b", "a")),
        column(export=("a", "b")),
        column(export=("*",)),
        column(export=("*",), absent=-1.0),
    ]

    assert len({fingerprint(kind) for kind in kinds}) == len(kinds)
    assert fingerprint(column(absent=3.0)) == fingerprint(column())
    plain = hashlib.sha256(b"c\x1f1\x1fint64\x1ff").hexdigest()[:16]
    assert fingerprint(column()) == plain
