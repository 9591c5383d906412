"""The same input gives the same bytes, however it arrives and however it is worked on."""

import pytest

from tests.e2e.program import ATTACKS, plain, tapwatch, with_bundles
from tests.e2e.rewrite import COMPRESS, as_pcapng, split

#: How a capture can reach us: name -> (raw bytes, folder) -> (arguments, standard input).
ARRIVALS = {
    "standard input": lambda raw, folder: (["-"], raw),
    "pcapng": lambda raw, folder: ([as_pcapng(raw, folder / "c.pcapng")], None),
    "five files": lambda raw, folder: (split(raw, 5, folder), None),
    "a directory": lambda raw, folder: ([split(raw, 5, folder)[0].parent], None),
    "gz on standard input": lambda raw, folder: (["-"], COMPRESS["gz"](raw)),
}


def _config(folder, max_rows, batch_frames=8192):
    path = folder / f"rows-{max_rows}-{batch_frames}.toml"
    path.write_text(f"[detect]\nmax_rows = {max_rows}\n[capture]\nbatch_frames = {batch_frames}\n")
    return path


@pytest.fixture(scope="module")
def raw():
    """The sample attack capture, plain."""
    return plain(ATTACKS)


@pytest.fixture(scope="module")
def alerts(tmp_path_factory):
    """What the sample attack capture gives with the defaults."""
    path = tmp_path_factory.mktemp("reference") / "alerts.jsonl"
    tapwatch("replay", ATTACKS, *with_bundles(), "-o", path, "--quiet")
    assert path.read_bytes().count(b"\n") > 10
    return path.read_bytes()


@pytest.mark.parametrize(
    ("max_rows", "batch_frames", "workers"),
    [(8, 8192, 1), (64, 8192, 2), (1024, 8192, 2), (1024, 100, 1), (1, 777, 2)],
)
def test_alerts_do_not_depend_on_batches_or_workers(
    max_rows, batch_frames, workers, alerts, tmp_path
):
    """Micro-batches, frame batches and threads leave no trace in alerts.jsonl."""
    out, config = tmp_path / "alerts.jsonl", _config(tmp_path, max_rows, batch_frames)
    arguments = ["--config", config, "--workers", workers, "-o", out, "--quiet"]

    tapwatch("replay", ATTACKS, *with_bundles(), *arguments)

    assert out.read_bytes() == alerts


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_alerts_do_not_depend_on_how_the_capture_arrives(arrival, raw, alerts, tmp_path):
    """Pipes, formats, compression and the cut into files leave no trace in alerts.jsonl."""
    folder = tmp_path / "captures"
    folder.mkdir()
    captures, stdin = ARRIVALS[arrival](raw, folder)
    out = tmp_path / "alerts.jsonl"

    tapwatch("replay", *captures, *with_bundles(), "-o", out, "--quiet", stdin=stdin)

    assert out.read_bytes() == alerts


@pytest.mark.parametrize("view", ["flow", "packet"])
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_feature_files_do_not_depend_on_the_way(view, ending, raw, tmp_path):
    """Parquet and CSV are the same bytes for 1 and 2 workers, from a pipe, as pcapng, in parts."""
    ways = {"plain": ([ATTACKS, "--workers", 1], None), "two": ([ATTACKS, "--workers", 2], None)}
    for name, arrive in ARRIVALS.items():
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        ways[name] = arrive(raw, folder)

    files = {}
    for name, (arguments, stdin) in ways.items():
        out = tmp_path / f"rows-{len(files)}.{ending}"
        tapwatch("features", *arguments, "--view", view, "-o", out, "--quiet", stdin=stdin)
        files[name] = out.read_bytes()

    assert {name for name, content in files.items() if content != files["plain"]} == set()
    assert len(files["plain"]) > 100_000
