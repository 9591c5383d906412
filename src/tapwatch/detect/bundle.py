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
from tapwatch.detect.fitness import (
    check_configuration,
    check_left_out,
    check_rows,
    check_schema,
    check_tail,
)
from tapwatch.detect.manifest import (
    ARRAYS_FILE,
    MANIFEST_FILE,
    ArraysPart,
    Manifest,
    SchemaPart,
    explain,
    fingerprint,
    read_arrays_file,
    read_manifest,
)
from tapwatch.detect.preprocess import Preprocess
from tapwatch.detect.registry import DETECTORS
from tapwatch.detect.sequences import inputs_of, rows_of_block
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
        """Rows (n_rows, n_schema_columns), or blocks of them, as the model has met them."""
        if self.manifest.rows == "live":
            return values
        flat = values.reshape(-1, values.shape[-1])
        return as_export(self.schema, flat, self._given).reshape(values.shape)

    @property
    def sequence_rows(self) -> int:
        """Rows of a block, where the model takes the last rows of an entity; else 0."""
        return rows_of_block(self.detector)

    @property
    def n_latent(self) -> int:
        """Width of a code; 0 where the detector has no encoder."""
        if not self.detector.has_latent:
            return 0
        return int(
            self.detector.latent(np.zeros((1, *self.detector.row_shape), np.float32)).shape[1]
        )

    def latent(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Where the encoder puts rows, (n_rows, n_latent).

        Parameters
        ----------
        values : float32 or float64 (n_rows, n_schema_columns)
            As the view gives them, all columns. Of a model of sequences (n_rows, N,
            n_schema_columns), with NaN in front for rows that are not there.

        Raises
        ------
        ConfigError
            The detector has no encoder.
        ArtifactError
            The shape is another.
        """
        rank = 3 if self.sequence_rows else 2
        if values.ndim != rank or values.shape[-1] != len(self.schema.columns):
            block = f"{self.sequence_rows}, " if self.sequence_rows else ""
            raise ArtifactError(
                f"bundle {self.name}: rows of shape {values.shape}: want "
                f"(n, {block}{len(self.schema.columns)})"
            )
        return self.detector.latent(inputs_of(self.preprocess, self.as_trained(values)))

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
    schema = check_schema(file, manifest.feature_schema, schemas)
    check_rows(file, manifest, schema)
    check_left_out(file, manifest.preprocess, schema)
    check_tail(file, manifest.threshold)
    if settings is not None:
        running = settings(schema.view)
        is_export = manifest.rows == "wireshark_export"
        check_configuration(file, manifest, settings_given(running) if is_export else running)
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
