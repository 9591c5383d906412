"""An Alert as one line of JSON, in the shape of Suricata's EVE.

Rule for what does not apply: a key of the outermost object or of `flow` is left out (a flow without
a VLAN has no `vlan`), as Suricata does; the keys of `alert` and `tapwatch` are always there, with
null where there is no value. A number that is not finite is null. The order of keys is fixed.

Measured numbers (errors, thresholds, shares, observed and expected values) have six significant
digits: more of them would be noise of the arithmetic, and would differ between processors.
"""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tapwatch.tables import Alert, Drift, FeatureShare

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: A MAC address; no IPv6 address looks like it, for that has eight groups or "::".
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_SIGNIFICANT: Final = 6
#: `event_type` of what is no alert: errors have drifted, or a threshold was looked at again.
DRIFT: Final = "tapwatch_drift"
#: Columns named in a signature.
_SIGNATURE_COLUMNS: Final = 2


def timestamp(ts_ns: int) -> str:
    """UTC with microseconds, as Suricata writes it.

    Examples
    --------
    >>> timestamp(1_767_323_045_678_901_234)
    '2026-01-02T03:04:05.678901+0000'
    """
    moment = _EPOCH + timedelta(microseconds=ts_ns // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f+0000")


def number(value: float) -> int | float | None:
    """Six significant digits; whole numbers without a fraction; None where not finite.

    Examples
    --------
    >>> number(1 / 3), number(29200.0), number(1234567.0), number(float("nan"))
    (0.333333, 29200, 1234570, None)
    """
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{_SIGNIFICANT}g}")
    # Beyond 2**53 a float is a whole number only because it cannot be anything else.
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1 << 53 else rounded


def document(alert: Alert) -> dict[str, Any]:
    """The JSON object of an alert."""
    top: dict[str, Any] = {"timestamp": timestamp(alert.timestamp_ns), "event_type": "alert"}
    src_ip, dest_ip = alert.src or None, alert.dst or None
    ether = None
    if _MAC.fullmatch(alert.src):  # a frame without network addresses
        ether = {"src_mac": src_ip, "dest_mac": dest_ip}
        src_ip = dest_ip = None
    if alert.view == "host":
        dest_ip = None
    optional = {
        "flow_id": alert.flow_id or None,
        "community_id": alert.community_id or None,
        "in_iface": alert.in_iface or None,
        "pcap_cnt": alert.frame_number or None,
        "vlan": [alert.vlan] if alert.vlan >= 0 else None,
        "src_ip": src_ip,
        "src_port": alert.src_port if alert.src_port or alert.dst_port else None,
        "dest_ip": dest_ip,
        "dest_port": alert.dst_port if alert.src_port or alert.dst_port else None,
        "proto": alert.proto or None,
        "ether": ether,
    }
    top |= {key: value for key, value in optional.items() if value is not None}
    top["alert"] = {
        "signature": signature(alert),
        "category": "Anomaly",
        "severity": alert.severity,
        "action": "allowed",
    }
    if alert.flow_id:
        top["flow"] = _flow(alert)
    top["tapwatch"] = _tapwatch(alert)
    return top


def drift_document(drift: Drift) -> dict[str, Any]:
    """The JSON object of an event of drift; no alert, so readers of alerts pass it over."""
    return {
        "timestamp": timestamp(drift.timestamp_ns),
        "event_type": DRIFT,
        "tapwatch": {
            "view": drift.view,
            "detector": drift.detector,
            "bundle": drift.bundle,
            "kind": drift.kind,
            "what": drift.what,
            "rows": drift.rows,
            "before": number(drift.before),
            "after": number(drift.after),
            "threshold": number(drift.threshold),
            **({"warnings": list(drift.warnings)} if drift.warnings else {}),
        },
    }


def signature(alert: Alert) -> str:
    """What Suricata would call the rule: view, detector and the columns that weigh most."""
    columns = ", ".join(feature.name for feature in alert.features[:_SIGNATURE_COLUMNS])
    return f"tapwatch {alert.view} {alert.detector}: {columns}"


def line(told: Alert | Drift) -> str:
    """The alert, or event of drift, on one line of ASCII, with a newline at the end.

    Control characters, quotes and everything beyond ASCII are escaped, so that no string from the
    wire can break the line, or talk to the terminal that shows it.
    """
    made = drift_document(told) if isinstance(told, Drift) else document(told)
    text = json.dumps(made, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text + "\n"


def _flow(alert: Alert) -> dict[str, Any]:
    flow: dict[str, Any] = {
        "pkts_toserver": alert.flow_packets[0],
        "pkts_toclient": alert.flow_packets[1],
        "bytes_toserver": alert.flow_bytes[0],
        "bytes_toclient": alert.flow_bytes[1],
        "start": timestamp(alert.flow_start_ns),
    }
    if alert.end_reason:  # a packet's flow has not ended
        flow |= {"end": timestamp(alert.flow_end_ns), "reason": alert.end_reason}
    return flow


def _tapwatch(alert: Alert) -> dict[str, Any]:
    ratio = alert.error / alert.threshold if alert.threshold else math.inf
    return {
        "alert_id": alert.alert_id,
        "view": alert.view,
        "detector": alert.detector,
        "bundle": alert.bundle,
        "schema": alert.schema,
        "entity": alert.entity,
        "reason": alert.reason,
        "error": number(alert.error),
        "threshold": number(alert.threshold),
        "ratio": number(ratio),
        "p_value": number(alert.p_value),
        "folded": alert.folded,
        "features": [_feature(feature) for feature in alert.features],
        "evidence": alert.evidence,
    }


def _feature(feature: FeatureShare) -> dict[str, Any]:
    return {
        "name": feature.name,
        "unit": feature.unit,
        "observed": _value(feature.observed),
        "expected": _value(feature.expected),
        "share": number(feature.share),
    }


def _value(value: float | str) -> str | int | float | None:
    """A class is told by its word."""
    return value if isinstance(value, str) else number(value)
