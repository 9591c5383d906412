"""tapwatch inspect: what is in a bundle or a capture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tapwatch.cli import KernelCommand

if TYPE_CHECKING:
    from tapwatch.detect.manifest import InputPart, Manifest

Rows = list[tuple[str, str]]

#: LINKTYPE_ numbers that are met in practice (tcpdump.org/linktypes.html).
_LINK_TYPES: Final = {
    0: "BSD loopback",
    1: "Ethernet",
    101: "raw IP",
    105: "IEEE 802.11",
    113: "Linux cooked v1",
    127: "radiotap",
    228: "raw IPv4",
    229: "raw IPv6",
    276: "Linux cooked v2",
}

#: What rows a bundle learnt from.
_ROWS: Final = {
    "live": "as captures give them",
    "wireshark_export": "as an export of Wireshark gives them; live rows are reduced to that",
}

#: Why no latent space is told of, by whether the bundle can be loaded.
_NO_LATENT: Final = {True: "none: the detector has no encoder", False: "not known"}


@click.command("inspect", cls=KernelCommand)
@click.argument("path", type=click.Path(path_type=Path), metavar="BUNDLE|CAPTURE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(path: Path, as_json: bool) -> None:
    """Show what is in a bundle, or in a capture ("-" is standard input)."""
    from tapwatch.detect.manifest import MANIFEST_FILE

    if (path / MANIFEST_FILE).exists():
        found, rows = _bundle(path)
    else:
        found, rows = _capture(path)
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        _print(rows)


def _print(rows: Rows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in rows:
        # Text, not markup: names come from files that anybody may have written.
        table.add_row(Text(_printable(key), style="bold"), Text(_printable(value)))
    Console().print(table)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _bundle(path: Path) -> tuple[dict[str, Any], Rows]:
    from tapwatch.detect.bundle import load_bundle
    from tapwatch.detect.manifest import read_arrays_file, read_manifest
    from tapwatch.errors import ArtifactError
    from tapwatch.features import SCHEMAS

    manifest, _ = read_manifest(path)
    read_arrays_file(path, manifest)
    try:
        latent = load_bundle(path, SCHEMAS).n_latent
        misfit = None
    except ArtifactError as error:
        misfit, latent = str(error), None
    found = {"kind": "bundle", "fits": misfit is None, "misfit": misfit}
    found |= {"latent": latent, "manifest": manifest.model_dump(mode="json")}
    fit = ("fits this build", "yes" if misfit is None else f"no: {misfit}")
    codes = ("latent space", f"{latent} dimensions" if latent else _NO_LATENT[misfit is None])
    return found, [*_bundle_rows(manifest), codes, fit]


def _bundle_rows(manifest: "Manifest") -> Rows:
    schema, preprocess = manifest.feature_schema, manifest.preprocess
    threshold, training, quality = manifest.threshold, manifest.training, manifest.quality
    parameters = ", ".join(f"{k}={v}" for k, v in manifest.detector.parameters.items())
    units = {column.name: column.unit for column in schema.columns}
    columns = ", ".join(f"{name} [{units.get(name, '?')}]" for name in preprocess.columns)
    rows = [
        ("bundle", manifest.name),
        ("detector", f"{manifest.detector.name} ({parameters})"),
        ("view", f"{schema.view}/{schema.version}:{schema.digest[:8]}"),
        ("columns", f"{len(preprocess.columns)} of {len(schema.columns)}: {columns}"),
        ("constant", ", ".join(preprocess.constant) or "none"),
        ("dropped", ", ".join(preprocess.dropped) or "none"),
        *(
            ("withheld", f"{', '.join(names)}: {why}")
            for why, names in _by_reason(preprocess.withheld).items()
        ),
        *(
            (f"classes of {name}", f"{', '.join(words)}; all others are one")
            for name, words in preprocess.classes.items()
        ),
        ("rows", _ROWS[manifest.rows]),
        (
            "configuration",
            ", ".join(f"{key} = {value}" for key, value in manifest.configuration.items())
            or "not known",
        ),
        ("preprocessing", f"{preprocess.method}, clipped at {preprocess.clip:g}"),
        ("threshold", f"{threshold.value:g} ({threshold.method}, alpha {threshold.alpha:.3g})"),
        ("budget", f"{threshold.budget_per_hour:g} flagged rows an hour"),
        ("expected", f"at most {threshold.expected_per_hour:.3g} flagged rows an hour"),
        (
            "calibration",
            f"{threshold.calibration_rows} rows in {threshold.calibration_hours:.3g} h, "
            f"{quality.calibration_flagged_rows} flagged; error median "
            f"{quality.calibration_error_median:g}, largest {quality.calibration_error_max:g}",
        ),
        (
            "training",
            f"{training.rows} rows of {training.rows_seen} read, {training.epochs} epochs, "
            f"seed {training.seed}, {training.time}; error median "
            f"{quality.training_error_median:g}",
        ),
        ("made with", ", ".join(f"{k} {v}" for k, v in training.versions.items())),
        ("no-learning floor", _figures(quality.floor)),
        ("on labelled rows", _figures(quality.labelled)),
    ]
    rows += [
        (part.used_for, f"{part.name} ({_about_input(part)}sha256 {part.sha256[:16]}...)")
        for part in training.inputs
    ]
    return rows + [("warning", warning) for warning in threshold.warnings]


def _by_reason(withheld: dict[str, str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, why in withheld.items():
        names.setdefault(why, []).append(name)
    return names


def _about_input(part: "InputPart") -> str:
    kind = f"{part.kind}, " if part.kind else ""
    left_out = "".join(f"{why} {n}, " for why, n in part.left_out.items())
    return f"{kind}{part.bytes} bytes, {left_out}"


def _figures(figures: dict[str, float] | None) -> str:
    if figures is None:
        return "not known: no labelled rows"
    return ", ".join(f"{key} {value:g}" for key, value in figures.items())


def _capture(path: Path) -> tuple[dict[str, Any], Rows]:
    import numpy as np

    from tapwatch.capture import open_captures
    from tapwatch.decode import Decoder

    source, decoder = open_captures([str(path)]), Decoder()
    n_packets = wire_bytes = captured_bytes = 0
    first_ns, last_ns = None, None
    link_types: dict[int, int] = {}
    try:
        while (batch := source.read()) is not None:
            if not len(batch):
                continue
            frames = batch.frames
            n_packets += len(frames)
            wire_bytes += int(frames["wire_bytes"].sum(dtype=np.int64))
            captured_bytes += int(frames["captured_bytes"].sum(dtype=np.int64))
            low, high = int(frames["ts_ns"].min()), int(frames["ts_ns"].max())
            first_ns = low if first_ns is None else min(first_ns, low)
            last_ns = high if last_ns is None else max(last_ns, high)
            for number, count in zip(
                *np.unique(frames["link_type"], return_counts=True), strict=True
            ):
                link_types[int(number)] = link_types.get(int(number), 0) + int(count)
            decoder.decode(batch)
        problems = list(source.problems)
    finally:
        source.close()
    found = {
        "kind": "capture",
        "packets": n_packets,
        "wire_bytes": wire_bytes,
        "captured_bytes": captured_bytes,
        "first_ns": first_ns,
        "last_ns": last_ns,
        "link_types": {str(number): count for number, count in sorted(link_types.items())},
        "decode": decoder.counts,
        "problems": problems,
    }
    return found, _capture_rows(path, found)


def _capture_rows(path: Path, found: dict[str, Any]) -> Rows:
    rows = [
        ("capture", str(path)),
        ("packets", f"{found['packets']}"),
        ("bytes", f"{found['wire_bytes']} on the wire, {found['captured_bytes']} captured"),
    ]
    if found["first_ns"] is not None:
        seconds = (found["last_ns"] - found["first_ns"]) / 1e9
        rows += [
            ("first", _utc(found["first_ns"])),
            ("last", f"{_utc(found['last_ns'])}, {seconds:.6f} s later"),
        ]
    rows += [
        (f"link type {number}", f"{_LINK_TYPES.get(int(number), 'other')}: {count} packets")
        for number, count in found["link_types"].items()
    ]
    rows += [(f"decode {status}", str(count)) for status, count in found["decode"].items() if count]
    return rows + [("warning", problem) for problem in found["problems"]]


def _utc(ts_ns: int) -> str:
    """RFC 3339 with nanoseconds."""
    import numpy as np

    return str(np.datetime64(ts_ns, "ns")) + "Z"
