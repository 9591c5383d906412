"""`bundle.json`: its keys and limits, and how one that anybody may have written is read safely."""

import hashlib
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from tapwatch.detect.preprocess import Method
from tapwatch.detect.threshold import ThresholdMethod
from tapwatch.errors import ArtifactError, ConfigError
from tapwatch.tables import Column

FORMAT: Final = 1
MANIFEST_FILE: Final = "bundle.json"
ARRAYS_FILE: Final = "model.safetensors"

_MANIFEST_BYTES: Final = 4 << 20
_ARRAYS_BYTES: Final = 256 << 20

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Text = Annotated[str, Field(max_length=1024)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Rate = Annotated[float, Field(ge=0)]
Columns = Annotated[list[Text], Field(max_length=4096)]


class Part(BaseModel):
    """A table of the file; a key that it does not know is an error, and so are NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DetectorPart(Part):
    """Which detector, and its hyper-parameters."""

    name: Name
    parameters: dict[Text, Any]


class ColumnPart(Part):
    """One column of the schema that the model was trained with."""

    name: Text
    unit: Text
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class SchemaPart(Part):
    """The whole schema, so that a mismatch can name the columns that differ."""

    view: Name
    version: Count
    digest: Text
    columns: Annotated[list[ColumnPart], Field(min_length=1, max_length=4096)]


class PreprocessPart(Part):
    """What is done to a row before the detector sees it."""

    method: Method
    clip: Annotated[float, Field(gt=0, le=1e6)]
    columns: Annotated[Columns, Field(min_length=1)]
    constant: Columns
    """Columns that did not vary in training: left out, or watched where `columns` has them too."""
    dropped: Columns
    """Columns left out because the operator said so."""
    withheld: dict[Text, Text] = Field(default={}, max_length=4096)
    """Columns left out because a published table does not give them as live rows have them, by
    name: why not."""
    classes: dict[Text, Columns] = Field(default={}, max_length=4096)
    """Class columns among `columns`: the words that the training rows showed."""
    class_height: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Input of the word that a row has; null: clip / sqrt(2)."""


class TailPart(Part):
    """The generalised Pareto law of the largest calibration errors."""

    start: float
    scale: Annotated[float, Field(gt=0)]
    shape: Annotated[float, Field(ge=-1, le=100)]
    peaks: Annotated[int, Field(ge=1, lt=1 << 63)]
    rows: Annotated[int, Field(ge=1, lt=1 << 63)]


class ThresholdPart(Part):
    """The line above which a row is flagged, and how it was found."""

    method: ThresholdMethod
    value: float
    alpha: Annotated[float, Field(ge=0, le=1)]
    factor: Annotated[float, Field(gt=0)]
    beyond: Annotated[float, Field(gt=0)]
    budget_per_hour: Annotated[float, Field(gt=0)]
    calibration_rows: Annotated[int, Field(ge=1, lt=1 << 63)]
    calibration_hours: Rate
    rows_per_hour: Rate
    expected_per_hour: Rate
    warnings: Annotated[list[Text], Field(max_length=64)]
    risk: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Alpha, where it was given; null: worked out from the budget and the rate of rows."""
    tail: TailPart | None = None
    """What method `pot` found; null where it had to count."""


class InputPart(Part):
    """A file that rows came from."""

    name: Text
    sha256: Sha256
    bytes: Count
    used_for: Literal["training", "calibration"]
    kind: Name | None = None
    """Of a published table: which loader read it."""
    left_out: dict[Text, Count] = Field(default={}, max_length=256)
    """Of a published table: rows left out or mended, by reason."""


class TrainingPart(Part):
    """Where the model comes from."""

    inputs: Annotated[list[InputPart], Field(max_length=4096)]
    rows_seen: Count
    rows: Count
    validation_rows: Count
    epochs: Count
    seed: Annotated[int, Field(ge=0, lt=1 << 63)]
    filter: Annotated[str, Field(max_length=65_536)] | None = None
    """Only packets that match were learnt from; null: all."""
    benign: Annotated[list[Text], Field(max_length=256)] = []
    """Labels of the rows learnt from, where a published table has labels; none: the usual ones."""
    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    versions: dict[Text, Text]


class QualityPart(Part):
    """How good it is, as far as the rows at hand can tell."""

    calibration_flagged_rows: Count
    calibration_flagged_rate: Annotated[float, Field(ge=0, le=1)]
    calibration_error_median: float
    calibration_error_max: float
    training_error_median: float
    floor: dict[Text, float] | None
    """Figures of the no-learning floor, largest |z|, on labelled rows; null without any."""
    labelled: dict[Text, float] | None
    """Figures of the detector on the same labelled rows."""


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) < 1 << 63


def _check_setting(value: object) -> object:
    is_list = isinstance(value, list) and len(value) <= 64 and all(map(_is_number, value))
    if is_list or _is_number(value) or (isinstance(value, str) and len(value) <= 1024):
        return value
    want = "true, false, a number, at most 1024 characters, or a list of at most 64 numbers"
    raise PydanticCustomError("setting", want)


#: A value of the configuration; checked as a whole, so that a refusal names what is wanted.
Setting = Annotated[bool | int | float | str | list[float], PlainValidator(_check_setting)]


class ArraysPart(Part):
    """The other file of the bundle."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=1, le=_ARRAYS_BYTES)]


class Manifest(Part):
    """All of `bundle.json`."""

    format: Literal[1]
    name: Name
    detector: DetectorPart
    feature_schema: SchemaPart
    rows: Literal["live", "wireshark_export"] = "live"
    """What rows were learnt from: those that captures give, or those that an export of Wireshark
    can give, which live rows are reduced to before they are scored."""
    configuration: dict[Text, Setting] = Field(default={}, max_length=64)
    """Keys of the configuration that values of the view depend on, as they stood in training."""
    preprocess: PreprocessPart
    threshold: ThresholdPart
    training: TrainingPart
    quality: QualityPart
    arrays: ArraysPart

    def to_bytes(self) -> bytes:
        """As it stands in the file: the same manifest gives the same bytes."""
        document = self.model_dump(mode="json")
        return (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def check_name(name: str) -> None:
    """Raise ConfigError unless the text may name a bundle: it becomes a label of metrics."""
    if not re.fullmatch(NAME_PATTERN, name):
        want = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        raise ConfigError("--name", name, want, "it is a label of metrics")


def fingerprint(column: Column) -> str:
    """Sixteen hex digits over what a model depends on: name, unit, dtype, formula, classes, export.

    Where a column has neither classes nor what an export gives, the last two do not count.
    """
    parts = [column.name, column.unit, column.dtype, column.formula]
    if column.categories:
        parts += ["categories", *column.categories]
    if column.export:
        parts += ["export", *column.export, repr(column.absent)]
    text = "\x1f".join(parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_manifest(directory: Path) -> tuple[Manifest, bytes]:
    """Read and check `bundle.json`; nothing is assumed of who wrote it.

    Returns
    -------
    manifest : Manifest
    content : bytes
        The file as it was read.

    Raises
    ------
    ArtifactError
        Naming the file, the key, what was found and what is wanted.
    """
    path = directory / MANIFEST_FILE
    content = _read(path, _MANIFEST_BYTES)
    try:
        document = json.loads(content, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except RecursionError as error:
        raise ArtifactError(f"{path}: nested too deep: want what tapwatch train writes") from error
    except ValueError as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise ArtifactError(f"{path}: not JSON: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if isinstance(found, int) and found != FORMAT:
        raise ArtifactError(
            f"{path}: format = {found!r:.40}: want {FORMAT} (the bundle is of another tapwatch)"
        )
    try:
        return Manifest.model_validate(document), content
    except ValidationError as error:
        raise ArtifactError(f"{path}: {explain(error)}") from error


def read_arrays_file(directory: Path, manifest: Manifest) -> bytes:
    """Read `model.safetensors` as bytes, after holding size and SHA-256 against the manifest.

    Raises
    ------
    ArtifactError
        The file is absent, of another size, or of another content.
    """
    path = directory / ARRAYS_FILE
    content = _read(path, _ARRAYS_BYTES)
    if len(content) != manifest.arrays.bytes:
        raise ArtifactError(
            f"{path}: {len(content)} bytes found: want {manifest.arrays.bytes}, "
            f"arrays.bytes of {MANIFEST_FILE}"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.arrays.sha256:
        raise ArtifactError(
            f"{path}: sha256 {digest} found: want {manifest.arrays.sha256}, "
            f"arrays.sha256 of {MANIFEST_FILE}"
        )
    return content


def explain(error: ValidationError) -> str:
    """Key, what was found, what is wanted: of the first error, and how many more there are."""
    errors = error.errors(include_url=False)
    first = errors[0]
    key = ".".join(str(part)[:64] for part in first["loc"][:8]) or "(the whole)"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"{key}: not known: want only the keys of format {FORMAT}{more}"
    if first["type"] == "missing":
        return f"{key}: absent: want it{more}"
    want = first["msg"].removeprefix("Input should be ")
    return f"{key} = {_short(first['input'])}: want {want}{more}"


def _short(value: object) -> str:
    # A container may be huge and deep, and an integer too long to print: name the kind instead.
    if isinstance(value, str):
        return repr(value[:60])
    if isinstance(value, float | bool) or value is None:
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) < 1 << 64 else "an integer beyond 64 bits"
    return f"a {type(value).__name__}"


def _read(path: Path, limit: int) -> bytes:
    try:
        # Opened without blocking, and looked at after: a FIFO must not hang us.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ArtifactError(f"{path}: not a regular file: want one")
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: absent: want it in every bundle") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    if len(content) > limit:
        raise ArtifactError(f"{path}: more than {limit} bytes: want at most that")
    return content


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice in one table")
    return table


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
