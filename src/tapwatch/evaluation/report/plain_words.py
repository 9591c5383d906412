"""The audit of a section in plain words."""

from collections.abc import Mapping
from typing import Any

from tapwatch.evaluation.results import SectionResults

_SEEN = {
    "test scores": "The threshold rule is shown the scores of the test rows: it needs all of them "
    "at once, which a live monitor does not have.",
    "test labels": "The threshold rule is shown the labels of the test rows: what it reaches is a "
    "bound, not a performance.",
}


def warnings_of(section: SectionResults) -> list[str]:
    """What makes the numbers easier or harder to reach than they look."""
    said = [
        f"{str(warning)[:1].upper()}{str(warning)[1:]}." for warning in section.audit["warnings"]
    ]
    sees = _SEEN.get(section.section.threshold_sees)
    said += [sees] if sees else []
    said += [
        f"The scores of {row.name} run the wrong way (AUC {row.merits['auc'].mean:.3f}): anomalies "
        "look more usual to it than normal rows."
        for row in section.rows
        if "auc" in row.merits and row.merits["auc"].mean < 0.5
    ]
    below = [row.name for row in section.rows if row.beats_floor is False]
    if below:
        metrics = " and ".join(name.upper() for name in section.section.floor_metrics)
        said.append(f"Below the floor in {metrics}: {', '.join(below)}.")
    return said


def sentences_of(audit: Mapping[str, Any]) -> list[str]:
    """Rows, duplicates, orientation, leaks and order, a sentence or two each."""
    rows, share = audit["rows"], audit["anomaly_share"]
    said = [
        f"{rows['train']:,} rows to learn from, {rows['calibration']:,} to calibrate with, "
        f"{rows['test']:,} to test; {audit['anomalies']:,} of these ({share:.1%}) are anomalies, "
        f"{audit['novel_anomalies']:,} of types that the training files do not have.",
        f"Duplicates: {audit['duplicate_share_train']:.1%} of the training rows and "
        f"{audit['duplicate_share_test']:.1%} of the test rows repeat another row. "
        f"{audit['test_share_in_train']:.1%} of the test rows stand in training too"
        + _of(" ({} of the normal ones", audit["normal_share_in_train"])
        + _of(", {} of the anomalies)", audit["anomaly_share_in_train"])
        + f"; {audit['test_share_with_both_labels']:.2%} occur with both labels.",
        f"Orientation: flagging everything has an F1 of {audit['f1_of_flagging_all']:.3f} and an "
        f"AP of {share:.3f}. An AUC below .5 would mean that scores, or labels, are turned round.",
    ]
    leaking = audit["leaking_columns"]
    if leaking:
        names = ", ".join(
            f"{name} ({max(area, 1 - area):.4f}{'' if area >= 0.5 else ', low values anomalous'})"
            for name, area in leaking.items()
        )
        said.append(f"Leaks: these columns alone nearly tell the label (AUC): {names}.")
    else:
        said.append("Leaks: no single column has an AUC beyond .98, either way.")
    order = audit["row_number_auc"]
    if order is not None:
        said.append(f"Order: the number of a row in the test has an AUC of {order:.3f}.")
    return said


def _of(pattern: str, share: float | None) -> str:
    return pattern.format("none" if share is None else f"{share:.1%}")
