"""What a row of the `kdd` view is: the 41 columns of KDD Cup 1999, of a connection that ended.

Names, order and units are those of kddcup.names. In the formulas, `f` is the FLOW row with which
the connection ended (`tapwatch.tables`); src is the originator, dst the responder. TCP, UDP, ICMP
and ICMPv6 give rows, a connection each, whatever active cuts parted it; other protocols give none.

Windows see connections in the order in which they come out: by (order_ns, end_ns, flow_id). Recent
are those with a time in (time - 2 s, time], this one included; the time is end_ns, or the latest
time before where that is later: rows that came out early, for too many waited, may be ahead of it.
What is open when the source ends counts by its last packet instead, for it ends all at once, and
recent begins anew where that time goes back. The host's history is its last `kdd.host_window`
connections as a responder, this one included. Rates are rounded to two decimals, halves up, as in
the published files; they are of counts before their caps.

Content columns are of what was read of the clear text, side by side: of segments that arrive out of
order the one that was overtaken is lost, as a gap is. A session that had to make room for others
(kdd.content_connections) begins anew, in the middle of what it was, with its next payload; what it
had counted is lost, and it counts both as evicted and as read.

Published rates of "different" services or hosts are not 1 - the rate of the same: they are numbers
of distinct ones. So are these, unless `kdd.diff_rates` says "share".
"""

from typing import Any, Final

from tapwatch.features.kdd.rules import (
    CONTENT_COLUMNS,
    IS_FLAG,
    RULES,
    Effect,
    Match,
    Rule,
)
from tapwatch.features.kdd.services import FLAGS, PROTOCOLS, SERVICES
from tapwatch.features.schema import make_schema, position_type
from tapwatch.tables import Column

_SOURCE: Final = "kddcup.names"


def _count(name: str, formula: str, meaning: str, unit: str = "1") -> Column:
    return Column(name, unit, "int64", formula, _SOURCE, meaning, name)


def _class(name: str, formula: str, meaning: str, words: tuple[str, ...]) -> Column:
    return Column(name, "1", "int64", formula, _SOURCE, meaning, name, words)


def _rate(name: str, formula: str, meaning: str) -> Column:
    return Column(name, "1", "float64", formula, _SOURCE, meaning, name)


_MATCHES: Final = {
    Match.ANY: "any line",
    Match.EQUALS: "is",
    Match.STARTS: "begins with",
    Match.CONTAINS: "contains",
    Match.ENDS: "ends with",
    Match.WORD: "first word",
    Match.SECOND: "second word",
}


def _rule_text(rule: Rule) -> str:
    """One rule as a sentence of a formula."""
    spoken = ", ".join(protocol.name for protocol in rule.protocols)
    states = ", ".join(state.name for state in rule.when)
    wanted = " | ".join(literal for literal in rule.literals if literal)
    return f"[{spoken} {rule.side.name}, in {states}] {_MATCHES[rule.match]} {wanted}".rstrip()


def _content_formula(name: str) -> str:
    rules = [_rule_text(rule) for rule in RULES if rule.column == name]
    if name == "logged_in":
        rules += [_rule_text(rule) for rule in RULES if rule.effect is Effect.SUCCESS]
        rules.append("[HTTP] an answer with status 200 to 399")
    elif name == "num_failed_logins":
        rules += [_rule_text(rule) for rule in RULES if rule.effect is Effect.FAILURE]
        rules.append("[HTTP] an answer with status 401 to a request with Authorization")
    elif name == "num_root":
        rules.append("a login that succeeds with a user name that contains root")
    elif name == "is_host_login":
        rules.append(
            "a login that succeeds as root, toor, adm, admin, administrator, sysadm or superuser"
        )
    elif name == "is_guest_login":
        rules.append("a login that succeeds as guest, anonymous, anon, ftp or visitor")
    head = "1 where a line matches, else 0" if name in IS_FLAG else "number of lines that match"
    return f"{head}: " + "; ".join(rules)


_MEANINGS: Final = {
    "hot": "changes of directory, programs run or compiled, and other hot indicators",
    "num_failed_logins": "failed attempts to log in",
    "logged_in": "a login succeeded; a mail or a web request was accepted",
    "num_compromised": "lines that say that a file or program is not there",
    "root_shell": "a shell of root was seen",
    "su_attempted": "times that su to root was typed",
    "num_root": "commands at a prompt of root, and other accesses as root",
    "num_file_creations": "files created",
    "num_shells": "shells begun, by their greeting",
    "num_access_files": "lines that name a file that controls access",
    "num_outbound_cmds": "outbound commands of an FTP session; 0 in all published rows",
    "is_host_login": "the login is on the hot list (is_hot_login of the task's page)",
    "is_guest_login": "the login is a guest's",
}

_BASIC: Final = (
    _count(
        "duration",
        "whole seconds from f.connection_first_ts_ns to f.last_ts_ns, rounded down; never below 0",
        "length of the connection",
        "s",
    ),
    _class("protocol_type", "tcp: f.proto 6; udp: 17; icmp: 1 or 58", "protocol", PROTOCOLS),
    _class(
        "service",
        "by f.dst_port: features/kdd/services.py; a port without a word is private below 1024, "
        "else other; TCP from port 20 to such a port is ftp_data; ICMP by type and code, or other",
        "service of the responder",
        SERVICES,
    ),
    _class(
        "flag",
        "f.conn_state; UDP and ICMP: SF; RSTRH, SHR and none: OTH, for no SYN was seen",
        "state of the connection at its end",
        FLAGS,
    ),
    _count("src_bytes", "f.connection_payload_bytes[0]", "payload from the originator", "B"),
    _count("dst_bytes", "f.connection_payload_bytes[1]", "payload to the originator", "B"),
    _count(
        "land",
        "1 where TCP or UDP has the same address and port at both ends, else 0",
        "from and to the same host and port",
    ),
    _count(
        "wrong_fragment",
        "f.wrong_fragments, at most 3",
        "fragments that overlap, overrun or contradict each other",
    ),
    _count("urgent", "f.urgent_packets", "segments with URG"),
)

_CONTENT: Final = tuple(
    _count(name, _content_formula(name), _MEANINGS[name]) for name in CONTENT_COLUMNS
)


def _diff(distinct: str, share: str, of: str) -> str:
    return (
        f"number of distinct {distinct} / {of}, 0 where there is one; with kdd.diff_rates = "
        f'"share": {share} / {of}'
    )


_RECENT: Final = (
    _count("count", "n = recent to the same dst, at most 511", "connections to the same host"),
    _count("srv_count", "m = recent of the same service, at most 511", "of the same service"),
    _rate("serror_rate", "of n: flag S0, S1, S2 or S3", "share of SYN errors, same host"),
    _rate("srv_serror_rate", "of m: flag S0, S1, S2 or S3", "share of SYN errors, same service"),
    _rate("rerror_rate", "of n: flag REJ", "share rejected, same host"),
    _rate("srv_rerror_rate", "of m: flag REJ", "share rejected, same service"),
    _rate("same_srv_rate", "of n: the same service", "share of the same service"),
    _rate(
        "diff_srv_rate",
        _diff("services among n", "those of n with another service", "n"),
        "different services",
    ),
    _rate(
        "srv_diff_host_rate",
        _diff("dst among m", "those of m to another dst", "m"),
        "different hosts",
    ),
)

_PAST: Final = (
    _count("dst_host_count", "n = the host's history, at most 255", "connections to the host"),
    _count(
        "dst_host_srv_count",
        "m = those of n with the same service, at most 255",
        "connections to the host and service",
    ),
    _rate("dst_host_same_srv_rate", "m / n", "share of the same service"),
    _rate(
        "dst_host_diff_srv_rate",
        _diff("services among n", "those of n with another service", "n"),
        "different services",
    ),
    _rate("dst_host_same_src_port_rate", "of n: the same f.src_port", "share of the same port"),
    _rate(
        "dst_host_srv_diff_host_rate",
        _diff("src among m", "those of m from another src", "m"),
        "different originators",
    ),
    _rate("dst_host_serror_rate", "of n: flag S0, S1, S2 or S3", "share of SYN errors"),
    _rate("dst_host_srv_serror_rate", "of m: flag S0, S1, S2 or S3", "the same, same service"),
    _rate("dst_host_rerror_rate", "of n: flag REJ", "share rejected"),
    _rate("dst_host_srv_rerror_rate", "of m: flag REJ", "the same, same service"),
)

KDD_COLUMNS: Final = (*_BASIC, *_CONTENT, *_RECENT, *_PAST)
KDD_SCHEMA: Final = make_schema("kdd", 1, KDD_COLUMNS)

KddAt: Any = position_type("KddAt", __name__, KDD_COLUMNS)
#: Position of each column in the matrix, by name.
KDD_AT: Final = KddAt(*range(len(KDD_COLUMNS)))
#: Positions of the rates, which kernels give in hundredths.
RATES: Final = [i for i, column in enumerate(KDD_COLUMNS) if column.dtype == "float64"]
