"""How published builds of CICFlowMeter spell our flow columns, and how builds are told apart.

The names are the tools' own. CIC-IDS2017 has long ones, some with a stray blank before them and one
of them twice; CSE-CIC-IDS2018 has short ones, which are ours; later builds have long ones again,
spelt otherwise, and the corrected tool of Engelen, Rimmer and Joosen adds columns to those.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tapwatch.features.flow.columns import FLOW_SCHEMA


class Build(StrEnum):
    """Which build wrote a file, by the names in its header."""

    CIC_2017 = "CIC-IDS2017"
    CIC_2018 = "CSE-CIC-IDS2018"
    UPSTREAM = "CICFlowMeter 4"  # long names, 2020 and later
    FIXED = "corrected CICFlowMeter"


#: Our column -> how CIC-IDS2017 heads it, how later builds do.
_LONG: Final[dict[str, tuple[str, str]]] = {
    "flow_duration": ("Flow Duration", "Flow Duration"),
    "tot_fwd_pkts": ("Total Fwd Packets", "Total Fwd Packet"),
    "tot_bwd_pkts": ("Total Backward Packets", "Total Bwd packets"),
    "totlen_fwd_pkts": ("Total Length of Fwd Packets", "Total Length of Fwd Packet"),
    "totlen_bwd_pkts": ("Total Length of Bwd Packets", "Total Length of Bwd Packet"),
    "flow_byts_s": ("Flow Bytes/s", "Flow Bytes/s"),
    "flow_pkts_s": ("Flow Packets/s", "Flow Packets/s"),
    "fwd_iat_tot": ("Fwd IAT Total", "Fwd IAT Total"),
    "bwd_iat_tot": ("Bwd IAT Total", "Bwd IAT Total"),
    "fwd_header_len": ("Fwd Header Length", "Fwd Header Length"),
    "bwd_header_len": ("Bwd Header Length", "Bwd Header Length"),
    "fwd_pkts_s": ("Fwd Packets/s", "Fwd Packets/s"),
    "bwd_pkts_s": ("Bwd Packets/s", "Bwd Packets/s"),
    "pkt_len_min": ("Min Packet Length", "Packet Length Min"),
    "pkt_len_max": ("Max Packet Length", "Packet Length Max"),
    "pkt_len_mean": ("Packet Length Mean", "Packet Length Mean"),
    "pkt_len_std": ("Packet Length Std", "Packet Length Std"),
    "pkt_len_var": ("Packet Length Variance", "Packet Length Variance"),
    "fin_flag_cnt": ("FIN Flag Count", "FIN Flag Count"),
    "syn_flag_cnt": ("SYN Flag Count", "SYN Flag Count"),
    "rst_flag_cnt": ("RST Flag Count", "RST Flag Count"),
    "psh_flag_cnt": ("PSH Flag Count", "PSH Flag Count"),
    "ack_flag_cnt": ("ACK Flag Count", "ACK Flag Count"),
    "urg_flag_cnt": ("URG Flag Count", "URG Flag Count"),
    "cwe_flag_count": ("CWE Flag Count", "CWR Flag Count"),
    "ece_flag_cnt": ("ECE Flag Count", "ECE Flag Count"),
    "down_up_ratio": ("Down/Up Ratio", "Down/Up Ratio"),
    "pkt_size_avg": ("Average Packet Size", "Average Packet Size"),
    "fwd_seg_size_avg": ("Avg Fwd Segment Size", "Fwd Segment Size Avg"),
    "bwd_seg_size_avg": ("Avg Bwd Segment Size", "Bwd Segment Size Avg"),
    "fwd_byts_b_avg": ("Fwd Avg Bytes/Bulk", "Fwd Bytes/Bulk Avg"),
    "fwd_pkts_b_avg": ("Fwd Avg Packets/Bulk", "Fwd Packet/Bulk Avg"),
    "fwd_blk_rate_avg": ("Fwd Avg Bulk Rate", "Fwd Bulk Rate Avg"),
    "bwd_byts_b_avg": ("Bwd Avg Bytes/Bulk", "Bwd Bytes/Bulk Avg"),
    "bwd_pkts_b_avg": ("Bwd Avg Packets/Bulk", "Bwd Packet/Bulk Avg"),
    "bwd_blk_rate_avg": ("Bwd Avg Bulk Rate", "Bwd Bulk Rate Avg"),
    "subflow_fwd_pkts": ("Subflow Fwd Packets", "Subflow Fwd Packets"),
    "subflow_fwd_byts": ("Subflow Fwd Bytes", "Subflow Fwd Bytes"),
    "subflow_bwd_pkts": ("Subflow Bwd Packets", "Subflow Bwd Packets"),
    "subflow_bwd_byts": ("Subflow Bwd Bytes", "Subflow Bwd Bytes"),
    "init_fwd_win_byts": ("Init_Win_bytes_forward", "FWD Init Win Bytes"),
    "init_bwd_win_byts": ("Init_Win_bytes_backward", "Bwd Init Win Bytes"),
    "fwd_act_data_pkts": ("act_data_pkt_fwd", "Fwd Act Data Pkts"),
    "fwd_seg_size_min": ("min_seg_size_forward", "Fwd Seg Size Min"),
}
#: Columns of the file that become no number of ours by themselves.
PROTOCOL: Final = "Protocol"
SRC_PORT: Final = "Src Port"
DST_PORT: Final = "Dst Port"
SRC_IP: Final = "Src IP"
TIMESTAMP: Final = "Timestamp"
LABEL: Final = "Label"
_OTHERS: Final = (PROTOCOL, SRC_PORT, DST_PORT, SRC_IP, TIMESTAMP, LABEL)
_OTHERS_2017: Final = (PROTOCOL, "Source Port", "Destination Port", "Source IP", TIMESTAMP, LABEL)

#: Names that only one build has.
_MARKS: Final = (
    (Build.FIXED, "fwd rst flags"),
    (Build.UPSTREAM, "fwd init win bytes"),
    (Build.CIC_2018, "tot fwd pkts"),
    (Build.CIC_2017, "init_win_bytes_forward"),
)
#: A table of our own may have the data set's names too; this one only ours has.
_OURS: Final = "community_id"
_FEWEST: Final = 20  # known columns; a table with fewer is something else


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file, understood."""

    build: Build
    n_fields: int
    places: Mapping[str, int]  # our column, or one of the constants above -> place in a line
    line: bytes  # as it stands in the file, without blanks around it


def original_names(build: Build) -> dict[str, str]:
    """How a build heads our columns, in our order; those that it does not have are left out."""
    later = {column.name: column.original for column in FLOW_SCHEMA.columns[76:86]}
    names = {}
    for column in FLOW_SCHEMA.columns[:76]:
        long_names = _LONG.get(column.name)
        if build is Build.CIC_2018:
            names[column.name] = column.original
        elif long_names:
            names[column.name] = long_names[0 if build is Build.CIC_2017 else 1]
        else:
            names[column.name] = column.original.replace("Pkt Len", "Packet Length")
    return names | (later if build is Build.FIXED else {})


def read_header(line: bytes) -> Header | None:
    """Understand a header line; None where it is of no build that is known."""
    line = line.removeprefix(b"\xef\xbb\xbf").strip()
    names = [_plain(name) for name in line.decode("latin-1").split(",")]
    build = next((build for build, mark in _MARKS if mark in names), None)
    if build is None or _OURS in names:
        return None
    wanted = original_names(build)
    others = _OTHERS_2017 if build is Build.CIC_2017 else _OTHERS
    wanted |= dict(zip(_OTHERS, others, strict=True))
    places = _places(names, wanted)
    n_known = sum(name in places for name in FLOW_SCHEMA.names)
    if n_known < _FEWEST or "flow_duration" not in places:
        return None
    return Header(build, len(names), places, line)


def _places(names: Sequence[str], wanted: Mapping[str, str]) -> dict[str, int]:
    # Of a name that stands twice the first one counts: both hold the same.
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    return {
        ours: first[_plain(theirs)] for ours, theirs in wanted.items() if _plain(theirs) in first
    }


def _plain(name: str) -> str:
    return re.sub(r"\s+", " ", name.strip(" \t\"'")).lower()
