"""A trained model on disk: a directory with `bundle.json` and `model.safetensors`, nothing else.

Loading believes nothing: sizes, types, checksums, shapes and the schema are all held against what
this build expects, and the first difference is refused with file, key, found and wanted.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tapwatch.detect.detector import Detector
from tapwatch.detect.export import Given, as_export, given_of, settings_given
from tapwatch.detect.manifest import (
    ARRAYS_FILE,
    MANIFEST_FILE,
    ArraysPart,
    Manifest,
    PreprocessPart,
    SchemaPart,
    ThresholdPart,
    explain,
    fingerprint,
    read_arrays_file,
    read_manifest,
)
from tapwatch.detect.pot import Tail
from tapwatch.detect.preprocess import Preprocess
from tapwatch.detect.registry import DETECTORS
from tapwatch.detect.threshold import Calibration
from tapwatch.errors import ArtifactError, ConfigError, SinkError
from tapwatch.tables import Schema

_PARTS: Final = ("calibration.", "detector.", "preprocess.")


@dataclass(frozen=True)
class Bundle:
    """A model that has passed every check, ready to score; may be shared by threads."""

    manifest: Manifest
    digest: str  # SHA-256 of bundle.json, which holds that of the arrays
    schema: Schema
    preprocess: Preprocess
    detector: Detector
    calibration: Calibration

    @property
    def name(self) -> str:
        """Name of the bundle: a label of metrics, a field of alerts."""
        return self.manifest.name

    @property
    def view(self) -> str:
        """View whose rows it scores."""
        return self.schema.view

    def as_trained(self, values: NDArray[Any]) -> NDArray[Any]:
        """Rows (n_rows, n_schema_columns) as the model has met them in training."""
        if self.manifest.rows == "live":
            return values
        return as_export(self.schema, values, self._given)

    @cached_property
    def _given(self) -> Given:
        return given_of(self.schema)

    @property
    def threshold(self) -> float:
        """Error above which a row is flagged."""
        return self.manifest.threshold.value


#: View -> keys of the running configuration that its values depend on, and their values.
Settings = Callable[[str], Mapping[str, object]]


def load_bundle(
    path: Path, schemas: Mapping[str, Schema], settings: Settings | None = None
) -> Bundle:
    """Load and verify a bundle.

    Parameters
    ----------
    path : Path
        Its directory.
    schemas : mapping of view name to Schema
        The schemas of this build.
    settings : callable, optional
        What the values of a view depend on in the run to come; by default that is not looked at.

    Raises
    ------
    ArtifactError
        Naming the file, the key, what was found and what is wanted.
    """
    manifest, content = read_manifest(path)
    file = path / MANIFEST_FILE
    schema = _check_schema(file, manifest.feature_schema, schemas)
    _check_rows(file, manifest, schema)
    _check_left_out(file, manifest.preprocess, schema)
    _check_tail(file, manifest.threshold)
    if settings is not None:
        running = settings(schema.view)
        is_export = manifest.rows == "wireshark_export"
        _check_configuration(file, manifest, settings_given(running) if is_export else running)
    arrays = _arrays(path, manifest)
    try:
        preprocess = _preprocess(manifest, schema, _under(arrays, "preprocess."))
        calibration = Calibration.from_arrays(
            manifest.threshold.calibration_rows, _under(arrays, "calibration.")
        )
    except ArtifactError as error:
        raise ArtifactError(f"{path / ARRAYS_FILE}: {error}") from error
    detector = _detector(path, manifest, preprocess.n_inputs, _under(arrays, "detector."))
    digest = hashlib.sha256(content).hexdigest()
    return Bundle(manifest, digest, schema, preprocess, detector, calibration)


def write_bundle(
    path: Path,
    manifest: Manifest,
    preprocess: Preprocess,
    detector: Detector,
    calibration: Calibration,
    *,
    replace: bool = True,
) -> Manifest:
    """Write a bundle; either all of it is there afterwards or nothing has changed.

    Parameters
    ----------
    path : Path
        The directory to make. One that holds a bundle is replaced; any other must be empty.
    manifest : Manifest
        Complete but for `arrays`, which is filled in here.

    Returns
    -------
    manifest : Manifest
        As written.

    Raises
    ------
    ConfigError
        There is something else at `path`.
    SinkError
        The file system refuses.
    """
    from safetensors.numpy import save

    parts = (
        ("calibration", calibration.arrays()),
        ("detector", detector.arrays()),
        ("preprocess", preprocess.arrays()),
    )
    arrays = {
        f"{part}.{key}": np.ascontiguousarray(array)
        for part, table in parts
        for key, array in sorted(table.items())
    }
    content = save(arrays)
    described = ArraysPart(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    manifest = manifest.model_copy(update={"arrays": described})
    check_target(path)
    files = {ARRAYS_FILE: content, MANIFEST_FILE: manifest.to_bytes()}
    try:
        _write_directory(path, files)
    except OSError as error:
        raise SinkError(f"{path}: bundle cannot be written: {error}") from error
    return manifest


def check_target(path: Path) -> None:
    """Raise ConfigError unless a bundle can be put at `path`; ask before the long work."""
    if path.is_dir():
        if any(path.iterdir()) and not (path / MANIFEST_FILE).is_file():
            want = "a directory that is absent, empty, or holds a bundle"
            raise ConfigError("-o", str(path), want, "it holds other files, which would be lost")
    elif path.exists() or path.is_symlink():
        raise ConfigError("-o", str(path), "a directory", "a bundle is a directory of two files")


def describe_schema(schema: Schema) -> SchemaPart:
    """The schema as a manifest holds it."""
    columns = [
        {"name": column.name, "unit": column.unit, "fingerprint": fingerprint(column)}
        for column in schema.columns
    ]
    return SchemaPart.model_validate(
        {
            "view": schema.view,
            "version": schema.version,
            "digest": schema.digest,
            "columns": columns,
        }
    )


def _write_directory(path: Path, files: Mapping[str, bytes]) -> None:
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        made = scratch / "made"
        made.mkdir()
        for name, content in files.items():
            with (made / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if path.exists():
            # A directory cannot be renamed over a full one: step the old one aside first.
            path.rename(scratch / "replaced")
        made.rename(path)
    finally:
        if not path.exists() and (scratch / "replaced").exists():
            (scratch / "replaced").rename(path)
        shutil.rmtree(scratch, ignore_errors=True)


def _check_schema(file: Path, trained: SchemaPart, schemas: Mapping[str, Schema]) -> Schema:
    schema = schemas.get(trained.view)
    if schema is None:
        raise ArtifactError(
            f"{file}: feature_schema.view = {trained.view!r}: want one of "
            f"{', '.join(sorted(schemas))}"
        )
    if (trained.version, trained.digest) == (schema.version, schema.digest):
        found = [(column.name, column.unit) for column in trained.columns]
        if found != [(column.name, column.unit) for column in schema.columns]:
            raise ArtifactError(
                f"{file}: feature_schema.columns: not those of digest {trained.digest[:16]}"
            )
        return schema
    raise ArtifactError(
        f"{file}: feature_schema = {trained.view}/{trained.version}:{trained.digest[:8]}: want "
        f"{schema.view}/{schema.version}:{schema.digest[:8]}, the one of this build "
        f"({_difference(trained, schema)}); train a bundle for it"
    )


def _check_rows(file: Path, manifest: Manifest, schema: Schema) -> None:
    if manifest.rows != "live" and not any(column.export for column in schema.columns):
        raise ArtifactError(
            f"{file}: rows = {manifest.rows!r}: want 'live', for no export holds columns of view "
            f"{schema.view}"
        )


def _check_left_out(file: Path, part: PreprocessPart, schema: Schema) -> None:
    """What is said of columns is said of those of the schema, and not of those that are used."""
    used = {*part.columns}
    for key, names in (
        ("constant", part.constant),
        ("dropped", part.dropped),
        ("withheld", part.withheld),
    ):
        for name in names:
            # A constant column may be watched: then it is used.
            if name not in schema.names or (name in used and key != "constant"):
                raise ArtifactError(
                    f"{file}: preprocess.{key}: {name!r:.60}: want columns of view {schema.view}"
                    + ("" if key == "constant" else " that preprocess.columns has not")
                )


def _check_tail(file: Path, part: ThresholdPart) -> None:
    """What is said of the tail must be what the threshold came from."""
    tail = part.tail
    if tail is None:
        return
    if part.method != "pot":
        raise ArtifactError(f"{file}: threshold.tail: want it with method 'pot' only")
    if not tail.peaks < tail.rows == part.calibration_rows:
        raise ArtifactError(
            f"{file}: threshold.tail.peaks = {tail.peaks}, rows = {tail.rows}: want fewer peaks "
            f"than rows, and as many rows as calibration_rows, {part.calibration_rows}"
        )
    told = "alpha = 0"
    if 0 < part.alpha < tail.peaks / tail.rows:
        law = Tail(**tail.model_dump()).quantile(part.alpha)
        told = f"{law:g} at alpha = {part.alpha:g}"
        # A threshold may have been kept below the law's, never above it.
        if tail.start <= part.value <= law + 1e-4 * abs(law):
            return
    raise ArtifactError(
        f"{file}: threshold.value = {part.value!r}: want what threshold.tail gives, {told}"
    )


def _check_configuration(file: Path, manifest: Manifest, running: Mapping[str, object]) -> None:
    """Values of the same columns mean something else under another configuration: refuse them."""
    trained = manifest.configuration
    view = manifest.feature_schema.view
    for key in sorted({*trained, *running}):
        if key not in running:
            raise ArtifactError(
                f"{file}: configuration.{key}: want only keys that {view} depends on"
            )
        if key not in trained:
            raise ArtifactError(f"{file}: configuration.{key}: absent: want it")
        # True is 1 to Python, and not to the configuration.
        is_other_kind = isinstance(trained[key], bool) != isinstance(running[key], bool)
        if trained[key] != running[key] or is_other_kind:
            raise ArtifactError(
                f"{file}: configuration.{key} = {trained[key]!r:.200}: want {running[key]!r}, the "
                f"value of this run, for the rows of {view} depend on it; put {key} = "
                f"{trained[key]!r:.200} into --config, or train a bundle for this value"
            )


def _difference(trained: SchemaPart, schema: Schema) -> str:
    """The columns that differ, in words."""
    before = {column.name: column for column in trained.columns}
    after = {column.name: column for column in schema.columns}
    said = [f"not in this build: {name}" for name in before if name not in after]
    said += [f"not in the bundle: {name}" for name in after if name not in before]
    for name in before.keys() & after.keys():
        if before[name].unit != after[name].unit:
            said.append(f"{name}: unit {before[name].unit!r} -> {after[name].unit!r}")
        elif before[name].fingerprint != fingerprint(after[name]):
            said.append(f"{name}: defined differently")
    said.sort()
    if not said and list(before) != list(after):
        said = ["the columns stand in another order"]
    if not said:
        return "the columns are the same"
    more = f"; and {len(said) - 8} more" if len(said) > 8 else ""
    return "; ".join(said[:8]) + more


def _arrays(path: Path, manifest: Manifest) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load

    content = read_arrays_file(path, manifest)
    file = path / ARRAYS_FILE
    try:
        arrays = load(content)
    except Exception as error:  # a parser of others, on bytes of anybody: whatever it raises
        raise ArtifactError(f"{file}: not safetensors: {error}") from error
    if strays := sorted(key for key in arrays if not key.startswith(_PARTS)):
        want = ", ".join(f"{part}*" for part in _PARTS)
        raise ArtifactError(f"{file}: array {strays[0]}: not known: want {want}")
    return arrays


def _under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {
        key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)
    }


def _preprocess(
    manifest: Manifest, schema: Schema, arrays: Mapping[str, NDArray[Any]]
) -> Preprocess:
    part = manifest.preprocess
    used = [name for name in schema.names if name in set(part.columns)]
    if used != part.columns:
        raise ArtifactError(
            "preprocess.columns: want columns of the schema, in its order, each once"
        )
    return Preprocess.from_arrays(
        part.method, part.clip, part.columns, part.classes, schema, arrays, part.class_height
    )


def _detector(
    path: Path, manifest: Manifest, n_inputs: int, arrays: Mapping[str, NDArray[Any]]
) -> Detector:
    part = manifest.detector
    if part.name not in DETECTORS:
        raise ArtifactError(
            f"{path / MANIFEST_FILE}: detector.name = {part.name!r}: want one of "
            f"{', '.join(sorted(DETECTORS))}"
        )
    kind = DETECTORS[part.name]
    try:
        parameters = kind.parameters_type.model_validate(part.parameters, strict=True)
    except ValidationError as error:
        raise ArtifactError(
            f"{path / MANIFEST_FILE}: detector.parameters.{explain(error)}"
        ) from error
    try:
        return kind.from_arrays(parameters, n_inputs, arrays)
    except ArtifactError as error:
        raise ArtifactError(f"{path / ARRAYS_FILE}: detector: {error}") from error
