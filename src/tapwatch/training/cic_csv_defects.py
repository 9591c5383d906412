"""Which columns a published build computed otherwise than they are meant, and why.

Sources: the tool's own history (ahlashkari/CICFlowMeter), that of the corrected tool
(GintsEngelen/CICFlowMeter), and Engelen, Rimmer and Joosen, WTMC 2021 (doi
10.1109/SPW53761.2021.00009). What is not sure to mean what ours means counts as defective.
"""

from typing import Final

from tapwatch.training.cic_csv_names import Build

_FLAG_COUNTS: Final = (
    "fin_flag_cnt",
    "syn_flag_cnt",
    "rst_flag_cnt",
    "psh_flag_cnt",
    "ack_flag_cnt",
    "urg_flag_cnt",
    "cwe_flag_count",
    "ece_flag_cnt",
)
_FLAGS_BY_WAY: Final = ("fwd_psh_flags", "bwd_psh_flags", "fwd_urg_flags", "bwd_urg_flags")
_BULKS: Final = (
    "fwd_byts_b_avg",
    "fwd_pkts_b_avg",
    "fwd_blk_rate_avg",
    "bwd_byts_b_avg",
    "bwd_pkts_b_avg",
    "bwd_blk_rate_avg",
)
_SUBFLOWS: Final = (
    "subflow_fwd_pkts",
    "subflow_fwd_byts",
    "subflow_bwd_pkts",
    "subflow_bwd_byts",
)
_LENGTHS: Final = ("pkt_len_mean", "pkt_len_std", "pkt_len_var", "pkt_size_avg")
_ACTIVE: Final = ("active_mean", "active_std", "active_max", "active_min")
_IDLE: Final = ("idle_mean", "idle_std", "idle_max", "idle_min")

#: Of the two data sets: only the first packet of a flow was looked at.
_FIRST_PACKET_ONLY: Final = {
    **dict.fromkeys(_FLAG_COUNTS, "the first packet's flags only, under each other's names"),
    **dict.fromkeys(_BULKS, "always 0: bulks were looked for in the first packet only"),
    **dict.fromkeys(_SUBFLOWS, "the totals of the flow: gaps were not looked for"),
}
#: Of every build before the corrected one.
_OLD: Final = {
    **dict.fromkeys(_FLAGS_BY_WAY, "the first packet only"),
    **dict.fromkeys(_LENGTHS, "the first packet is counted twice"),
    "init_bwd_win_byts": "the window of the last backward packet, not of the first",
    "down_up_ratio": "cut to a whole number",
    "fwd_act_data_pkts": "the first packet is never counted",
}
#: Of every build.
_ALWAYS: Final = dict.fromkeys(_ACTIVE, "the last active period is left out")

#: Build -> column -> why it is withheld.
DEFECTS: Final[dict[Build, dict[str, str]]] = {
    Build.CIC_2017: _FIRST_PACKET_ONLY | _OLD | _ALWAYS,
    Build.CIC_2018: _FIRST_PACKET_ONLY | _OLD | _ALWAYS,
    Build.UPSTREAM: _OLD
    | dict.fromkeys(_BULKS, "bulks of both ways are counted as backward, and cut to whole numbers")
    | dict.fromkeys(_SUBFLOWS, "divided by another number in each build, never by the pieces")
    | dict.fromkeys(_ACTIVE, "always 0 in some builds; in all the last active period is left out")
    | dict.fromkeys(_IDLE, "meaningless in some builds: a difference stood where a time belongs"),
    Build.FIXED: dict.fromkeys(_SUBFLOWS, "divided by the gaps, not by the pieces that they part")
    | _ALWAYS
    | {
        "fwd_tcp_retrans_count": "segments equal in some fields to one before, by another rule",
        "bwd_tcp_retrans_count": "segments equal in some fields to one before, by another rule",
        "total_tcp_retrans_count": "segments equal in some fields to one before, by another rule",
        "total_connection_flow_time": "the pieces added up, without the gaps between them",
        "bwd_seg_size_min": "may be 0 where backward packets have a header",
    },
}

#: Name of a defective column that is kept.
PREFIX: Final = "defective_"
