"""Whether a bundle fits this build and this run: its schema, its rows, its configuration.

Each function raises ArtifactError with the file, the key, what was found and what is wanted.
"""

from collections.abc import Mapping
from pathlib import Path

from tapwatch.detect.manifest import (
    Manifest,
    PreprocessPart,
    SchemaPart,
    ThresholdPart,
    fingerprint,
)
from tapwatch.detect.pot import Tail
from tapwatch.errors import ArtifactError
from tapwatch.tables import Schema


def check_schema(file: Path, trained: SchemaPart, schemas: Mapping[str, Schema]) -> Schema:
    """The schema of this build that a bundle was trained for; another is refused."""
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


def check_rows(file: Path, manifest: Manifest, schema: Schema) -> None:
    """A model of exported rows is of a view that exports have columns of."""
    if manifest.rows != "live" and not any(column.export for column in schema.columns):
        raise ArtifactError(
            f"{file}: rows = {manifest.rows!r}: want 'live', for no export holds columns of view "
            f"{schema.view}"
        )


def check_left_out(file: Path, part: PreprocessPart, schema: Schema) -> None:
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


def check_tail(file: Path, part: ThresholdPart) -> None:
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
    told = f"nothing at alpha = {part.alpha:g}"
    if 0 < part.alpha < tail.peaks / tail.rows:
        law = Tail(**tail.model_dump()).quantile(part.alpha)
        told = f"{law:g} at alpha = {part.alpha:g}"
        # A threshold may have been kept below the law's; above it only by what could be counted.
        is_counted = part.alpha * (tail.rows + 1) >= 1
        if tail.start <= part.value and (is_counted or part.value <= law + 1e-4 * abs(law)):
            return
    raise ArtifactError(
        f"{file}: threshold.value = {part.value!r}: want what threshold.tail gives, {told}"
    )


def check_configuration(file: Path, manifest: Manifest, running: Mapping[str, object]) -> None:
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
