"""Fuzzing guided by coverage: python -m tests.fuzz.guided TARGET [--seconds N] [--seed S]

The kernels run as Python (NUMBA_DISABLE_JIT=1), so that atheris sees their branches too. Wants
`pip install -e '.[fuzz]'`. libFuzzer's own words go to stderr; it stops at the first finding, and
leaves the input that made it in the folder given by --findings.
"""

import os

os.environ["NUMBA_DISABLE_JIT"] = "1"  # before anything imports numba

import argparse
import contextlib
import hashlib
import json
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["tapwatch", "tomllib", "csv", "json", "ipaddress"]):
    from tapwatch.capture.bpf import compile_for_link_type
    from tapwatch.config import load_config
    from tapwatch.detect import load_bundle
    from tapwatch.errors import ArtifactError, CaptureError, ConfigError
    from tapwatch.evaluation.episodes import read_alerts
    from tapwatch.evaluation.truth import read_truth
    from tapwatch.features import VIEWS
    from tapwatch.training.datasets import read_rows
    from tests.fuzz import decoding, readers

from tapwatch.alerts import eve
from tapwatch.config import Config
from tests.alerts.made import alert
from tests.fuzz import documents, filters, mutate, seeds
from tests.fuzz.cases import Case
from tests.shared_data import ROOT

_SCHEMAS = {name: view().schema for name, view in VIEWS.items()}
_BUNDLE = ROOT / "samples" / "bundles" / "flow"
_FLOW = _SCHEMAS["flow"]
_DEPTHS = (0, 8)
#: Longest input, or how much longer than its seed it may be.
_BYTES = 20_000
#: Where inputs are written that the program wants as files.
_ROOM = Path(tempfile.mkdtemp(prefix="tapwatch-fuzz-", dir="/dev/shm"))


@dataclass(frozen=True)
class Target:
    """What is done with an input, what it may raise, and what it begins with."""

    run: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    spoil: Callable[[Random, bytes], bytes] | None = None


def _file(content: bytes, name: str = "input") -> Path:
    path = _ROOM / name
    path.write_bytes(content)
    return path


def _read(raw: bytes) -> None:
    options = {"pauses": [], "filter": "tcp[13] & 2 != 0"}
    readers.run(Case("readers", (raw,), ({},), options), Counter())


def _unpack(raw: bytes) -> None:
    readers.read([str(_file(raw))])


def _decode(raw: bytes) -> None:
    """The first two bytes choose link type, depth and what the capture left out."""
    raw = raw[: 2 + decoding.ROOM_BYTES]
    if len(raw) < 2:
        return
    link_type = seeds.LINK_TYPES[raw[0] % len(seeds.LINK_TYPES)]
    about = {"link_type": link_type, "vlan_tci": -1}
    about["wire_bytes"] = len(raw) - 2 + (0, 0, 1, 40)[raw[1] >> 1 & 3]
    options = {"tunnel_depth": _DEPTHS[raw[1] & 1]}
    decoding.run(Case("decode", (raw[2:],), (about,), options), Counter())


def _frame_seeds() -> Iterable[bytes]:
    for frame in seeds.frames():
        if frame.link_type in seeds.LINK_TYPES:
            for depth in range(2):
                yield bytes([seeds.LINK_TYPES.index(frame.link_type), depth]) + frame.data


def _spoil_frame(random: Random, raw: bytes) -> bytes:
    others = seeds.frame_bytes()
    return raw[:2] + mutate.spoil_frame(random, raw[2:] or b"\0", others, 3)


def _spoil_file(random: Random, raw: bytes) -> bytes:
    return mutate.spoil_file(random, raw or b"\0", seeds.captures(), 3)


def _bundle(manifest: bytes, arrays: bytes) -> None:
    folder = _ROOM / "bundle"
    folder.mkdir(exist_ok=True)
    (folder / "bundle.json").write_bytes(manifest)
    (folder / "model.safetensors").write_bytes(arrays)
    load_bundle(folder, _SCHEMAS)


def _manifest(raw: bytes) -> None:
    _bundle(raw, (_BUNDLE / "model.safetensors").read_bytes())


def _arrays(raw: bytes) -> None:
    """Any arrays, with a manifest that vouches for them."""
    document = json.loads((_BUNDLE / "bundle.json").read_bytes())
    document["arrays"] = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    _bundle(json.dumps(document).encode(), raw)


def _table(raw: bytes) -> None:
    """A table that begins as Parquet does, as `train` and `evaluate` read it."""
    for parts in read_rows([_file(b"PAR1" + raw)], _FLOW, Config()):
        for _ in parts:
            pass


def _table_seeds() -> Iterable[bytes]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: np.zeros(3, np.float32) for name in _FLOW.names}
    table = pa.table(columns | {"last_ts_ns": np.arange(3)})
    for digest in (_FLOW.digest.encode(), b"another"):
        path = _ROOM / "seed.parquet"
        pq.write_table(table.replace_schema_metadata({b"tapwatch.schema_digest": digest}), path)
        yield path.read_bytes()[4:]


def _filter(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    # Names would be asked of a resolver.
    if not any(word in text for word in ("host", "net", "gateway", "port", "proto", "src", "dst")):
        compile_for_link_type(text, 1)


def _documents(*names: str) -> Callable[[], Iterable[bytes]]:
    def found() -> Iterable[bytes]:
        return [path.read_bytes() for name in names for path in sorted(ROOT.glob(name))]

    return found


TARGETS = {
    "readers": Target(_read, (CaptureError,), seeds.captures, _spoil_file),
    "unpackers": Target(
        _unpack,
        (CaptureError,),
        lambda: [pack(raw) for raw in seeds.captures()[:3] for pack in readers.PACKERS.values()],
    ),
    "decode": Target(_decode, (), _frame_seeds, _spoil_frame),
    "config": Target(
        lambda raw: load_config(_file(raw)),
        (ConfigError,),
        lambda: [b"[flows]\nidle_timeout_s = 1.5\n", b"[decode]\ntunnel_depth = 8\n"],
        documents.spoil_toml,
    ),
    "manifest": Target(
        _manifest,
        (ArtifactError,),
        _documents("samples/bundles/*/bundle.json"),
        documents.spoil_json,
    ),
    "arrays": Target(
        _arrays, (ArtifactError,), lambda: [(_BUNDLE / "model.safetensors").read_bytes()]
    ),
    "truth": Target(
        lambda raw: read_truth(_file(raw)),
        (CaptureError,),
        _documents("samples/*truth*.csv"),
        documents.spoil_csv,
    ),
    "alerts": Target(
        lambda raw: read_alerts(_file(raw)),
        (CaptureError,),
        lambda: [eve.line(alert(vlan=vlan)).encode() for vlan in (-1, 7)],
        documents.spoil_json,
    ),
    "table": Target(_table, (CaptureError, ArtifactError), _table_seeds),
    "filter": Target(_filter, (ConfigError,), lambda: [t.encode() for t in filters.TEXTS]),
}


def main() -> None:
    """Hand over to libFuzzer."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    corpus = _ROOM / "corpus"
    corpus.mkdir()
    longest = _BYTES
    for raw in target.seeds():
        longest = max(longest, len(raw) + _BYTES)
        (corpus / hashlib.sha256(raw).hexdigest()[:16]).write_bytes(raw)
    arguments.findings.mkdir(parents=True, exist_ok=True)

    def one(raw: bytes) -> None:
        with contextlib.suppress(*target.allowed):
            target.run(raw)

    def spoil(raw: bytes, max_bytes: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.5:
            return atheris.Mutate(raw, max_bytes)
        return target.spoil(random, raw)[:max_bytes]

    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=ResourceWarning)
    words = [
        sys.argv[0],
        f"-max_total_time={arguments.seconds}",
        f"-seed={arguments.seed}",
        f"-artifact_prefix={arguments.findings}/{arguments.target}-",
        f"-max_len={longest}",
        "-timeout=60",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
        str(corpus),
    ]
    more = {"custom_mutator": spoil} if target.spoil else {}
    atheris.Setup(words, one, **more)
    atheris.Fuzz()


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(_ROOM, ignore_errors=True)
