"""What a reader should know of the rows before any number: duplicates, labels, leaks, order."""

from typing import Any, Final

import numpy as np

from tapwatch.evaluation.attacks import OTHER
from tapwatch.evaluation.duplicates import row_keys
from tapwatch.evaluation.floors import column_areas, plain_columns
from tapwatch.evaluation.protocol import Split

#: A single column with an area beyond this, either way, gives the labels away.
LEAK_AUC: Final = 0.98
#: More test rows with labels that are no known type are warned of.
UNKNOWN_SHARE: Final = 0.01


def audit(split: Split) -> dict[str, Any]:
    """Look at the rows of a split.

    Returns
    -------
    findings : dict
        Plain JSON values; "warnings" says in words what is wrong.
    """
    findings = _counts(split) | _duplicates(split) | _leaks(split) | {"facts": dict(split.facts)}
    findings["warnings"] = _warnings(findings)
    return findings


def _counts(split: Split) -> dict[str, Any]:
    n_anomalies = int(np.count_nonzero(split.is_anomaly))
    words, counts = np.unique(split.classes, return_counts=True)
    share = n_anomalies / len(split.test)
    return {
        "rows": {
            "train": len(split.train),
            "calibration": len(split.calibration),
            "test": len(split.test),
        },
        "anomalies": n_anomalies,
        "anomaly_share": share,
        "novel_anomalies": int(np.count_nonzero(split.novel & split.is_anomaly)),
        "classes": dict(zip(words.tolist(), counts.tolist(), strict=True)),
        # Precision is the share of anomalies, recall is 1.
        "f1_of_flagging_all": 2 * share / (1 + share),
    }


def _duplicates(split: Split) -> dict[str, Any]:
    train, test = row_keys(split.train), row_keys(split.test)
    known = np.unique(train)
    in_train = np.isin(test, known)
    normal, anomalous = np.unique(test[~split.is_anomaly]), np.unique(test[split.is_anomaly])
    both = np.isin(test, np.intersect1d(normal, anomalous))
    return {
        "duplicate_share_train": 1 - len(known) / len(train),
        "duplicate_share_test": 1 - len(np.unique(test)) / len(test),
        "test_share_in_train": float(in_train.mean()),
        "anomaly_share_in_train": _mean(in_train[split.is_anomaly]),
        "normal_share_in_train": _mean(in_train[~split.is_anomaly]),
        "test_share_with_both_labels": float(both.mean()),
    }


def _mean(flags: Any) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _leaks(split: Split) -> dict[str, Any]:
    if split.is_anomaly.all() or not split.is_anomaly.any():
        return {"leaking_columns": {}, "row_number_auc": None}
    plain = plain_columns(split)
    areas = column_areas(split.test, split.is_anomaly, plain)
    leaking = {
        split.schema.names[k]: float(area)
        for k, area in zip(plain, areas, strict=True)
        if max(area, 1 - area) > LEAK_AUC
    }
    place = np.arange(len(split.test), dtype=np.float64)[:, None]
    order = column_areas(place, split.is_anomaly, np.array([0]))
    return {"leaking_columns": leaking, "row_number_auc": float(order[0])}


def _warnings(found: dict[str, Any]) -> list[str]:
    said = []
    if unknown := found["facts"].get("labels_that_are_no_known_type"):
        part = found["classes"].get(OTHER, 0) / found["rows"]["test"]
        if part > UNKNOWN_SHARE:
            words = ", ".join(map(repr, sorted(unknown, key=lambda word: -unknown[word])[:5]))
            said.append(
                f"{part:.1%} of the test rows have a label that is no known attack type, and count "
                f"as attacks: {words}"
            )
    share = found["anomaly_share"]
    if share in (0, 1):
        kind = "anomalies" if share else "normal"
        said.append(f"all test rows are {kind}: no area can be measured, nor held against a floor")
    if share > 0.5:
        said.append(
            f"{share:.1%} of the test rows are anomalies: flagging everything has an F1 of "
            f"{found['f1_of_flagging_all']:.3f}"
        )
    if found["test_share_in_train"] > 0.01:
        said.append(f"{found['test_share_in_train']:.1%} of the test rows stand in training too")
    if found["duplicate_share_test"] > 0.01:
        said.append(f"{found['duplicate_share_test']:.1%} of the test rows repeat another one")
    if found["test_share_with_both_labels"] >= 0.0005:
        part = found["test_share_with_both_labels"]
        said.append(f"{part:.2%} of the test rows occur both as normal and as anomalies")
    said += [
        f"column {name} alone has an area of {max(area, 1 - area):.4f}"
        + ("" if area >= 0.5 else ", low values being anomalous")
        for name, area in found["leaking_columns"].items()
    ]
    order = found["row_number_auc"]
    if order is not None and max(order, 1 - order) > 0.9:
        said.append(
            f"the row's number in the test alone has an area of {max(order, 1 - order):.3f}"
        )
    return said
