"""What to train, from what, to where, and who is told how far it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from tapwatch.config import Config, Section
from tapwatch.detect.detector import Epoch, silent
from tapwatch.detect.preprocess import Method
from tapwatch.detect.threshold import ThresholdMethod
from tapwatch.training.datasets import ReadProgress, no_progress
from tapwatch.training.published import Note


class TrainSettings(Section):
    """What `--set` may change apart from the detector's own hyper-parameters."""

    model_config = ConfigDict(strict=False)  # what comes from the command line is text

    scaling: Method = "log_z"
    """How columns are brought to one scale."""
    clip: Annotated[float, Field(gt=0, le=1e6)] = 5.0
    """Preprocessed values are kept within plus and minus this."""
    class_height: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Input of the word that a row has in a column of classes; by default clip / sqrt(2)."""
    constants: Literal["watch", "drop"] = "watch"
    """Whether columns that are constant in training are watched for any other value."""
    threshold: ThresholdMethod = "conformal"
    """Rule of the threshold."""
    factor: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Multiplies the quantile of the quantile rule; of a detector that has a highest error, the
    odds of the quantile against it."""
    beyond: Annotated[float, Field(ge=1, le=1e6)] = 1.25
    """Multiplies the largest error, or its odds, where the budget is rarer than the calibration
    rows can show."""
    risk: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of benign rows that may be flagged, in the place of what --budget comes to."""
    max_rows: Annotated[int, Field(ge=100, le=1 << 24)] = 500_000
    """Rows learnt from at most; of more, a random sample. A block counts as its rows."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training rows, the last in time, that calibrates where no other input does."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training rows, at random, that tells when to stop."""


@dataclass(frozen=True)
class Order:
    """What to train, from what, to where."""

    inputs: Sequence[Path]
    view: str
    detector: str
    output: Path
    time: str
    """UTC, as 2006-01-02T15:04:05Z; put on record as it is."""
    name: str = ""
    """Of the bundle; by default that of the output directory."""
    calibration_inputs: Sequence[Path] = ()
    budget_per_hour: float = 1.0
    columns: Sequence[str] = ()
    """To use; by default all."""
    drop: Sequence[str] = ()
    """Not to use."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Fields of TrainSettings or of the detector's parameters."""
    device: str = "cpu"
    seed: int = 0
    workers: int = 1
    filter: str | None = None
    """Only packets that match are learnt from and calibrated with."""
    benign: Sequence[str] = ()
    """Labels of the rows that are learnt from where a published table has labels; by default those
    that its data set calls so."""
    keep_defective: bool = False
    """Learn from columns too that a published data set computed wrongly."""
    config: Config = field(default_factory=Config)

    @property
    def bundle_name(self) -> str:
        """What the bundle is called."""
        return self.name or self.output.absolute().name


@dataclass(frozen=True)
class Listener:
    """Who is told how far it is; each has a silent default."""

    reading: ReadProgress = no_progress
    epoch: Callable[[Epoch], None] = silent
    warning: Callable[[str], None] = lambda _: None
    note: Note = lambda _: None
