"""Scores, names and alerts made by hand, for tests of what happens to them."""

import dataclasses
import ipaddress

import numpy as np

from tapwatch.tables import ROW, Alert, Column, EndReason, FeatureShare, Names, Schema, Scores

COLUMNS = ("duration", "bytes", "rate", "gap", "ports", "window")
UNITS = ("us", "B", "B/s", "us", "1", "B")


def schema(view: str = "flow") -> Schema:
    """A schema of six columns."""
    columns = tuple(
        Column(name, unit, "float64", "", "", "") for name, unit in zip(COLUMNS, UNITS, strict=True)
    )
    return Schema(view, 1, columns, "0123abcd" * 8)


def address(text: str) -> tuple[int, int]:
    """Both halves of an address as the tables hold it."""
    parsed = ipaddress.ip_address(text)
    number = int(parsed) if parsed.version == 6 else (0xFFFF << 32) | int(parsed)
    return number >> 64, number & (1 << 64) - 1


def row(src="10.0.0.1", dst="10.0.0.2", **fields):
    """A TCP flow row to port 443; `fields` replaces what it has."""
    made = np.zeros((), ROW)
    made["src_hi"], made["src_lo"] = address(src)
    made["dst_hi"], made["dst_lo"] = address(dst)
    usual = dict(src_port=50000, dst_port=443, proto=6, ip_version=4, vlan=-1, is_flow=1, flow_id=7)
    usual |= dict(first_ts_ns=10**18, last_ts_ns=10**18, end_reason=EndReason.FIN)
    for name, value in (usual | fields).items():
        made[name] = value
    return made


def scores(rows, *, error=1.5, share=None, flagged=None, view="flow", bundle="office", **fields):
    """Scores over `rows`, all flagged and blamed on the second column unless told otherwise."""
    n = len(rows)
    flags = np.ones(n, bool) if flagged is None else np.asarray(flagged)
    n_flagged = int(flags.sum())
    usual_share = np.tile([0.2, 0.5, 0.1, 0.1, 0.05, 0.05], (n_flagged, 1))
    table = np.array([r.item() for r in rows], ROW) if n else np.zeros(0, ROW)
    made = Scores(
        view=view,
        detector="ae",
        bundle=bundle,
        schema=schema(view),
        columns=COLUMNS,
        rows=table,
        error=np.broadcast_to(np.asarray(error, float), n).copy(),
        threshold=np.ones(n),
        p_value=np.full(n, 0.001),
        flagged=flags,
        observed=np.tile(np.arange(6.0) * 1000, (n_flagged, 1)),
        expected=np.tile(np.arange(6.0) * 10, (n_flagged, 1)),
        share=usual_share if share is None else np.asarray(share, float),
    )
    return dataclasses.replace(made, **fields)


def names(rows) -> Names:
    """The rows in words, by the standard library."""
    return Names(
        src=[_text(r["src_hi"], r["src_lo"], r["ip_version"]) for r in rows],
        dst=[_text(r["dst_hi"], r["dst_lo"], r["ip_version"]) for r in rows],
        proto=[{6: "TCP", 17: "UDP", 1: "ICMP"}.get(int(r["proto"]), "ARP") for r in rows],
        community_id=["1:LQU9qZlK+B5F3KDmev6m5PMibrg=" if r["is_flow"] else "" for r in rows],
    )


def _text(hi, lo, version) -> str:
    number = int(hi) << 64 | int(lo)
    if version == 0:
        return ":".join(f"{number:012x}"[i : i + 2] for i in range(0, 12, 2))
    low = number & 0xFFFFFFFF
    return str(ipaddress.IPv4Address(low) if version == 4 else ipaddress.IPv6Address(number))


def alert(**fields) -> Alert:
    """A complete alert; `fields` replaces what it says."""
    usual = Alert(
        alert_id="00112233aabbccdd",
        timestamp_ns=1_767_323_045_678_901_234,
        view="flow",
        detector="ae",
        bundle="office",
        schema="flow/1:0123abcd",
        entity="10.0.0.1 > 10.0.0.2:443",
        reason="init_fwd_win_byts",
        error=0.123456789,
        threshold=0.1,
        p_value=0.00049975,
        severity=3,
        folded=2,
        features=(
            FeatureShare("init_fwd_win_byts", "B", 1024.0, 64240.25, 0.61803398875),
            FeatureShare("flow_duration", "us", 1 / 3, 0.0, 0.25),
        ),
        src="10.0.0.1",
        dst="10.0.0.2",
        src_port=50000,
        dst_port=443,
        proto="TCP",
        vlan=-1,
        in_iface="eth0",
        flow_id=1234567890123456789,
        community_id="1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        frame_number=0,
        flow_start_ns=1_767_323_044_000_000_999,
        flow_end_ns=1_767_323_045_678_901_234,
        flow_packets=(7, 5),
        flow_bytes=(700, 5000),
        end_reason="fin",
    )
    return dataclasses.replace(usual, **fields)
