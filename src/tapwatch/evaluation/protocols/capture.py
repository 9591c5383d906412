"""Attacks in a capture: episodes found, time to alert, false alerts an hour, by view and detector.

Rows are flagged and folded into alerts by the policy of a replay, and held against the truth file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tapwatch.detect.registry import DETECTORS
from tapwatch.errors import ConfigError
from tapwatch.evaluation.captured import (
    Halves,
    count_packets,
    extract_views,
    in_halves,
    middle_of,
)
from tapwatch.evaluation.metrics import spread
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    DataFile,
    Inputs,
    Needs,
    Protocol,
    Statement,
    TextTable,
)
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.run import check_names, single_thread
from tapwatch.evaluation.trials import (
    BEYOND,
    FLOOR,
    Trial,
    attempt,
    beats,
    floor_of,
    mean_rate,
)
from tapwatch.evaluation.truth import Episode, read_truth
from tapwatch.features import SCHEMAS, schema_of
from tapwatch.tables import FeatureBatch
from tapwatch.telemetry.stopwatch import Stopwatch
from tapwatch.training.datasets import describe_input, expand

_LINEAR: Final = {"scaling": "min_max"}
_CONTENDERS: Final = (
    Contender("robust_z", "robust_z"),
    Contender("robust_z, linear", "robust_z", _LINEAR | {"score": "max"}),
    Contender("pca", "pca"),
    Contender("pca, linear", "pca", _LINEAR),
    Contender("rarity", "rarity"),
    Contender("neighbours", "neighbours"),
    Contender("neighbours, linear", "neighbours", _LINEAR),
    Contender("iforest", "iforest"),
    Contender("kitnet", "kitnet"),
    Contender("ae", "ae"),
    Contender("ae, linear", "ae", _LINEAR),
    Contender("deep_ae", "deep_ae"),
    Contender("memory_ae", "memory_ae"),
    Contender("ocsvm", "ocsvm"),
    Contender("hst", "hst"),
    Contender("lstm_ae", "lstm_ae"),
)
#: Detectors that take long, and their seeds, unless --detector names them.
_DEAR: Final = frozenset({"neighbours", "ae", "deep_ae", "memory_ae", "ocsvm", "hst", "lstm_ae"})
_DEAR_SEEDS: Final = 3
#: Random rows that they learn from at most, and contenders that are tried where there are no more
#: than so many, unless --detector names them.
_DEAR_ROWS: Final = 20_000
_OF_FEW_ROWS: Final = frozenset({"ae", "deep_ae", "memory_ae", "hst", "lstm_ae"})
#: The one view that a model of sequences is tried in, unless --detector names it, and the blocks
#: that it learns from.
_SEQUENCES: Final = "host"
_BLOCKS: Final = 2000
#: Views with as many columns that say the same.
_LEFT_OUT: Final = frozenset({"afterimage_115"})
_HEADINGS: Final = (
    "view",
    "detector",
    "seeds",
    "episodes found",
    "sd",
    "median s to alert",
    "false an hour, held out",
    "false an hour, beside attacks",
    "beats the floor",
    "missed by every seed",
)


@dataclass(frozen=True, slots=True)
class _Line:
    """One view and contender, or the floor of a view."""

    view: str
    name: str
    trials: tuple[Trial, ...]  # by seed; one where nothing is drawn
    beats_floor: bool | None = None  # None of the floor itself

    def cells(self) -> tuple[Any, ...]:
        """As it stands in the table."""
        found = spread([float(trial.attacks.n_found) for trial in self.trials])
        times = [
            finding.time_to_alert_s
            for trial in self.trials
            for finding in trial.attacks.findings
            if finding.time_to_alert_s is not None
        ]
        missed = [
            finding.episode.kind
            for k, finding in enumerate(self.trials[0].attacks.findings)
            if not any(trial.attacks.findings[k].is_found for trial in self.trials)
        ]
        return (
            self.view,
            self.name,
            len(self.trials),
            found.mean,
            found.sd,
            float(np.median(times)) if times else None,
            mean_rate([trial.benign for trial in self.trials]),
            mean_rate([trial.attacks for trial in self.trials]),
            self.beats_floor,
            _told(missed, [f.episode.kind for f in self.trials[0].attacks.findings]),
        )


def _told(missed: Sequence[str], kinds: Sequence[str]) -> str:
    """The shorter list of the two."""
    if 2 * len(missed) <= len(kinds):
        return ", ".join(missed)
    others = [kind for kind in kinds if kind not in missed]
    return "all but " + ", ".join(others) if others else "all"


def _by_episode(lines: Sequence[_Line], episodes: Sequence[Episode]) -> TextTable:
    """Who finds each episode in more than half of the seeds with no false alert held out."""
    quiet = [
        line
        for line in lines
        if line.beats_floor is not None and mean_rate([trial.benign for trial in line.trials]) == 0
    ]
    rows = []
    for k, episode in enumerate(episodes):
        finders = []
        for line in quiet:
            findings = [trial.attacks.findings[k] for trial in line.trials]
            times = [f.time_to_alert_s for f in findings if f.time_to_alert_s is not None]
            if 2 * len(times) > len(findings):
                finders.append((float(np.median(times)), f"{line.view}: {line.name}"))
        views = [view for view in SCHEMAS if any(who.startswith(f"{view}: ") for _, who in finders)]
        soonest = min(finders, default=(None, ""))
        told = (", ".join(views), f"{len(finders)} of {len(quiet)}", soonest[1], soonest[0])
        rows.append((episode.name, episode.kind, *told))
    headings = ("episode", "kind", "views", "found by", "soonest", "after s")
    title = "By episode: who finds it in most seeds, of those without a false alert held out"
    return TextTable("episodes", title, headings, tuple(rows))


def _views(inputs: Inputs) -> tuple[str, ...]:
    """Those that are asked for, each once; by default all that differ in what they say."""
    asked = inputs.views or ((inputs.view,) if inputs.view else ())
    for view in asked:
        schema_of(view)
    return tuple(dict.fromkeys(asked)) or tuple(view for view in SCHEMAS if view not in _LEFT_OUT)


def _for_view(contender: Contender, view: str, inputs: Inputs, *, is_named: bool) -> Contender:
    """The contender with the rows it may learn from, and the columns that options leave."""
    names = schema_of(view).names
    columns = tuple(name for name in inputs.columns if name in names)
    drop = tuple(name for name in inputs.drop if name in names)
    most = _BLOCKS if contender.detector == "lstm_ae" else _DEAR_ROWS
    max_rows = most if contender.detector in _DEAR and not is_named else 0
    return replace(contender, columns=columns, drop=drop, max_rows=max_rows)


def _check_columns(inputs: Inputs, views: Sequence[str]) -> dict[str, str]:
    """Refuse a name that is a column of no view, and say which views have no column to learn from.

    Raises
    ------
    ConfigError
        A name is a column of no view, or no view has a column left.
    """
    known = {name for view in views for name in schema_of(view).names}
    for option, names in (("--columns", inputs.columns), ("--drop", inputs.drop)):
        for name in names:
            if name not in known:
                raise ConfigError(option, name, f"columns of view {' or '.join(views)}")
    none_left = {}
    for view in views:
        offered = inputs.columns or schema_of(view).names
        if not set(offered).intersection(schema_of(view).names).difference(inputs.drop):
            none_left[view] = "--columns and --drop leave no column of it"
    if len(none_left) == len(views):
        want = f"at least one column left to learn from, of view {' or '.join(views)}"
        raise ConfigError("--drop", ",".join(inputs.drop), want)
    return none_left


def _extracted(
    context: Context, views: Sequence[str], data: list[DataFile]
) -> Mapping[str, Mapping[str, FeatureBatch]]:
    """Rows by purpose and view; files are put on record."""
    given = {
        "train": context.inputs.train,
        "held out": context.inputs.inputs,
        "test": context.inputs.test,
    }
    extracted: dict[str, Mapping[str, FeatureBatch]] = {}
    wanted = context.inputs.filter
    for purpose, paths in given.items():
        files = expand(paths)
        batches = extract_views(files, views, context.config, wanted)
        for path in files:
            digest = describe_input(path, "training")["sha256"]
            n_packets = count_packets(path, wanted)
            data.append(DataFile(path.name, digest, n_packets, purpose, unit="packets"))
        told = ", ".join(f"{len(batch):,} of {view}" for view, batch in batches.items())
        context.talk.note(f"{purpose}: rows {told}")
        for view, batch in batches.items():
            if not len(batch):
                named = ", ".join(path.name for path in files)
                what = f"{named} with --filter {wanted!r}" if wanted else named
                want = f"at least 1 row of view {view} in {what}"
                raise ConfigError(f"{purpose} rows", 0, want)
        extracted[purpose] = batches
    return extracted


def _in_halves(
    extracted: Mapping[str, Mapping[str, FeatureBatch]],
) -> tuple[dict[str, Halves], dict[str, str]]:
    """Rows by view, the held-out ones cut in two; and views that lack a half, with the reason.

    Raises
    ------
    ConfigError
        No view has rows in both halves.
    """
    held_out = extracted["held out"]
    middle_ns = middle_of(held_out.values())
    made, left_out = {}, {}
    for view, batch in held_out.items():
        first, second = in_halves(batch, middle_ns)
        if len(first) and len(second):
            train, attacks = extracted["train"][view], extracted["test"][view]
            made[view] = Halves(train, first, second, attacks)
        else:
            left_out[view] = (
                f"of its held-out rows {len(first):,} are in the first half of the time and "
                f"{len(second):,} in the second"
            )
    if not made:
        told = "; ".join(f"view {view}: {why}" for view, why in left_out.items())
        raise ConfigError("held-out capture", told, "rows of a view in both halves of the time")
    return made, left_out


def _tell(context: Context, left_out: Mapping[str, str]) -> None:
    for view, why in left_out.items():
        context.talk.note(f"view {view} is left out: {why}")


def _seeds(contender: Contender, context: Context) -> tuple[int, ...]:
    """One where nothing is drawn; fewer of what takes long, unless it is asked for by name."""
    if not DETECTORS[contender.detector].is_seeded:
        return context.seeds[:1]
    is_dear = contender.detector in _DEAR and not context.only
    return context.seeds[:_DEAR_SEEDS] if is_dear else context.seeds


def _run(context: Context) -> Results:
    """Extract all rows once, then fit and judge each contender of each view."""
    check_names(context.only, _CONTENDERS)
    views = _views(context.inputs)
    left_out = _check_columns(context.inputs, views)
    views = tuple(view for view in views if view not in left_out)
    _tell(context, left_out)
    assert context.inputs.labels is not None
    episodes = read_truth(context.inputs.labels)
    data = [_on_record(context.inputs.labels)]
    rows_of, without_half = _in_halves(_extracted(context, views, data))
    _tell(context, without_half)
    plan = [
        (view, contender)
        for view, rows in rows_of.items()
        for contender in _CONTENDERS
        if context.wants(contender)
        and (context.only or _is_tried(contender, view, len(rows.train)))
    ]
    n_fits = sum(len(_seeds(contender, context)) for _, contender in plan)
    lines: list[_Line] = []
    with single_thread():
        for view, rows in rows_of.items():
            floor = floor_of(rows, episodes, context.config)
            lines.append(_Line(view, FLOOR, (floor,)))
            for contender in [contender for of, contender in plan if of == view]:
                trials = _trials(rows, contender, episodes, context, n_fits)
                lines.append(_Line(view, contender.name, trials, beats(trials, floor)))
    title = f"{len(episodes)} episodes; threshold {BEYOND} times the largest benign error"
    tables = (
        TextTable("capture", title, _HEADINGS, tuple(line.cells() for line in lines)),
        _by_episode(lines, episodes),
    )
    facts = {f"view {view} is left out": why for view, why in (left_out | without_half).items()}
    return Results(context.protocol, tuple(data), context.seeds, tables=tables, facts=facts)


def _is_tried(contender: Contender, view: str, n_rows: int) -> bool:
    """Whether a contender comes to its end in time in a view of so many training rows."""
    if contender.detector == "lstm_ae" and view != _SEQUENCES:
        return False
    return contender.name not in _OF_FEW_ROWS or n_rows <= _DEAR_ROWS


def _on_record(path: Path) -> DataFile:
    digest = describe_input(path, "training")["sha256"]
    return DataFile(path.name, digest, len(read_truth(path)), "labels", unit="episodes")


def _trials(
    rows: Halves,
    contender: Contender,
    episodes: Sequence[Episode],
    context: Context,
    n_fits: int,
) -> tuple[Trial, ...]:
    """One contender with all its seeds."""
    view = rows.train.schema.view
    limited = _for_view(contender, view, context.inputs, is_named=bool(context.only))
    trials = []
    watch = Stopwatch(())
    for seed in _seeds(contender, context):
        context.talk.begin(f"{view}: {contender.name}, seed {seed}", n_fits)
        trials.append(
            attempt(rows, limited, seed, episodes, context.config, epoch=context.talk.epoch)
        )
        context.talk.advance()
    found = spread([float(trial.attacks.n_found) for trial in trials]).mean
    n_false = sum(trial.benign.n_alerts for trial in trials)
    told = f"{found:.3g} of {len(episodes)} episodes, {n_false} false alerts held out"
    context.talk.note(f"{view}: {contender.name}: {told}, {watch.cpu_s:.1f} CPU-s")
    return tuple(trials)


PROTOCOL: Final = Protocol(
    name="capture",
    title="Attacks in a capture, by view and detector",
    needs=Needs(
        train="a benign capture",
        test="a capture with attacks",
        labels="the truth file of --test",
        inputs="a benign capture that is held out: its first half in time sets thresholds, its "
        "second one measures false alerts",
        optional=("view",),
        view=None,
        takes=("views", "filter", "columns", "drop"),
    ),
    statement=Statement(
        split="All rows of --train learn; of the held-out benign capture the first half in time "
        "calibrates, the second one measures false alerts; --test is replayed as a whole.",
        orientation="Rows of benign captures are normal; an episode of the truth file is found "
        "where an alert belongs to it. Alerts beside all episodes are false.",
        contamination="None that is known: --train and the held-out capture are said to be benign.",
        scaling="Fitted on the rows learnt from.",
        threshold=f"{BEYOND} times the largest error of the calibration rows; no row of --test is "
        "looked at. The floor's threshold is found in the same way.",
        metric="Episodes found, seconds to the first alert, false alerts an hour. The floor counts "
        "the rows of one source in the last minute; who beats it finds more episodes, or as many "
        "with fewer false alerts an hour on held-out rows. One seed where nothing is drawn. Unless "
        f"--detector names them: {_DEAR_SEEDS} seeds and {_DEAR_ROWS:,} random rows at most of "
        f"what takes long ({', '.join(sorted(_DEAR))}); {', '.join(sorted(_OF_FEW_ROWS))} only "
        f"where there are no more rows; lstm_ae with {_BLOCKS:,} sequences of view {_SEQUENCES}.",
        avoids="Thresholds from the attacks' own capture; rows counted where an operator counts "
        "alerts.",
    ),
    run=_run,
)
