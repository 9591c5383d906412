"""Hold-down, rate limit, bounded memory, severity and identity of alerts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapwatch.alerts.policy import Policy, entity_of, severity_of
from tapwatch.config import AlertsConfig
from tests.alerts import made, naive

S = 1_000_000_000


def judged(policy, scores, interfaces=("eth0",)):
    """What the policy says of each flagged row."""
    return [
        policy.judge(scores, k, made.names, interfaces) for k in range(int(scores.flagged.sum()))
    ]


def count(policy, name, *labels):
    """One number of the policy's tallies."""
    [tally] = [tally for tally in policy.tallies() if tally.name == name]
    return tally.values[labels]


def at(*times_s, **fields):
    """Flow rows that came out at these seconds."""
    return [made.row(order_ns=round(t * S), first_ts_ns=round(t * S), **fields) for t in times_s]


def test_folds_what_follows_within_the_hold_down():
    """The second alert comes when the hold-down is over to the nanosecond, and tells of two."""
    policy = Policy(AlertsConfig(hold_down_s=60))
    rows = [*at(1000, 1030), made.row(order_ns=1060 * S - 1), *at(1060)]

    first, *folded, second = judged(policy, made.scores(rows))

    assert first.folded == 0
    assert folded == [None, None]
    assert second.folded == 2
    assert count(policy, "alerts_suppressed_total", "dedup") == 2
    assert count(policy, "alerts_untold") == 0


def test_a_hold_down_of_nothing_folds_nothing():
    """With hold_down_s = 0 rows of one instant are all told."""
    policy = Policy(AlertsConfig(hold_down_s=0))

    assert None not in judged(policy, made.scores(at(1, 1, 1)))


def test_a_row_from_before_the_last_alert_is_folded():
    """Time that goes backwards opens no second alert."""
    policy = Policy(AlertsConfig())

    _, earlier = judged(policy, made.scores(at(1000, 900)))

    assert earlier is None


@pytest.mark.parametrize(
    "other",
    [
        dict(src="10.0.0.9"),
        dict(dst="10.0.0.9"),
        dict(dst_port=80),
        dict(src="2001:db8::1", dst="2001:db8::2", ip_version=6),
    ],
)
def test_another_entity_is_another_alert(other):
    """Each address and the responder's port make an entity of their own."""
    policy = Policy(AlertsConfig())

    assert None not in judged(policy, made.scores([made.row(), made.row(**other)]))


def test_initiators_ports_do_not_make_an_entity():
    """A scan from many source ports is one entity."""
    policy = Policy(AlertsConfig())

    _, second = judged(policy, made.scores([made.row(), made.row(src_port=1)]))

    assert second is None


def test_both_directions_of_a_flow_are_one_entity():
    """A packet to the initiator has the ends of its flow the other way round."""
    policy = Policy(AlertsConfig())
    there = made.row(frame_number=1, direction=0)
    back = made.row(
        "10.0.0.2", "10.0.0.1", src_port=443, dst_port=50000, frame_number=2, direction=1
    )

    first, second = judged(policy, made.scores([there, back], view="packet"))

    assert first.entity == "10.0.0.1 > 10.0.0.2:443"
    assert second is None


def test_icmp_types_are_no_ports():
    """Echo requests and redirects between two hosts are one entity."""
    policy = Policy(AlertsConfig())
    rows = [made.row(proto=1, dst_port=0, src_port=8), made.row(proto=1, dst_port=1, src_port=5)]

    first, second = judged(policy, made.scores(rows))

    assert first.entity == "10.0.0.1 > 10.0.0.2"
    assert (first.src_port, first.dst_port) == (0, 0)
    assert second is None


def test_another_reason_view_or_bundle_is_another_alert():
    """A pair is bundle, view, entity and reason."""
    policy = Policy(AlertsConfig())
    rows = [made.row(), made.row()]
    two_reasons = made.scores(rows, share=[[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]])

    assert None not in judged(policy, two_reasons)
    assert judged(policy, made.scores(rows[:1], bundle="other"))[0]
    assert judged(policy, made.scores(rows[:1], view="packet"))[0]


def test_a_host_is_its_own_entity():
    """In the host view the other end does not count."""
    policy = Policy(AlertsConfig())
    rows = [made.row(), made.row(dst="10.0.0.9", dst_port=80)]

    first, second = judged(policy, made.scores(rows, view="host"))

    assert first.entity == "10.0.0.1"
    assert second is None


def test_alerts_about_a_host_are_one_a_window_and_name_no_protocol():
    """Windows may overlap: of two with the same packets, the time they end tells them apart."""
    rows = [made.row(order_ns=at_ns) for at_ns in (1, 2, 2)]

    def alerts(view):
        return judged(Policy(AlertsConfig(hold_down_s=0)), made.scores(rows, view=view))

    first, second, third = alerts("host")
    assert first.alert_id != second.alert_id == third.alert_id
    assert first.proto == ""
    first, second, _ = alerts("flow")
    assert first.alert_id == second.alert_id
    assert first.proto == "TCP"


def test_the_rate_limit_counts_minutes_of_packet_time():
    """What exceeds the limit is kept back until the next minute, and then told of."""
    policy = Policy(AlertsConfig(rate_limit_per_min=2))
    rows = [made.row(dst_port=port, order_ns=119 * S) for port in (1, 2, 3)]
    later = made.row(dst_port=3, order_ns=120 * S)

    one, two, three, told = judged(policy, made.scores([*rows, later]))

    assert one
    assert two
    assert three is None
    assert told.folded == 1
    assert count(policy, "alerts_suppressed_total", "ratelimit") == 1


def test_what_is_never_told_stays_visible():
    """Rows folded at the end of a run are in the counts, and in those never told of."""
    policy = Policy(AlertsConfig())

    judged(policy, made.scores(at(1, 2, 3)))

    assert policy.suppressed == {"dedup": 2, "ratelimit": 0}
    assert count(policy, "alerts_untold") == 2


def test_an_alert_makes_its_pair_the_youngest():
    """What was told again a moment ago is not the first to be forgotten."""
    policy = Policy(AlertsConfig(entities=64, rate_limit_per_min=1000, hold_down_s=1))
    first = made.row(dst_port=1, order_ns=0)
    rows = [made.row(dst_port=port, order_ns=0) for port in range(2, 65)]
    again = made.row(dst_port=1, order_ns=2 * S)
    one_more = made.row(dst_port=65, order_ns=2 * S)

    *_, told, _, held = judged(policy, made.scores([first, *rows, again, one_more, again]))

    assert told
    assert held is None
    assert count(policy, "alert_pairs_forgotten_total") == 1


def test_memory_of_pairs_is_bounded():
    """The pair whose alert is the oldest is forgotten, and alerts again."""
    policy = Policy(AlertsConfig(entities=64, rate_limit_per_min=1000))
    rows = [made.row(dst_port=port, order_ns=port) for port in range(1, 66)]

    first_again, last_again = judged(policy, made.scores([*rows, rows[0], rows[-1]]))[-2:]

    assert first_again
    assert last_again is None
    assert count(policy, "alert_pairs") == 64
    assert count(policy, "alert_pairs_forgotten_total") == 2


@given(
    rows=st.lists(
        st.tuples(st.integers(1, 9), st.sampled_from([0, 1, S, 10 * S, 30 * S])), max_size=60
    ),
    hold_down_s=st.sampled_from([0, 1, 30, 90]),
    rate_limit=st.integers(1, 5),
    capacity=st.integers(1, 6),
)
def test_agrees_with_the_naive_policy(rows, hold_down_s, rate_limit, capacity):
    """Any order of pairs and gaps gives what a replay of the whole history gives."""
    config = AlertsConfig(hold_down_s=hold_down_s, rate_limit_per_min=rate_limit)
    policy = Policy(config.model_copy(update={"entities": capacity}))
    times = np.cumsum([gap for _, gap in rows]).tolist() if rows else []
    history = [(port, t) for (port, _), t in zip(rows, times, strict=True)]
    scores = made.scores([made.row(dst_port=port, order_ns=t) for port, t in history])

    verdicts = judged(policy, scores)

    expected = naive.judge(history, hold_down_s * S, rate_limit, capacity)
    assert [alert and alert.folded for alert in verdicts] == [
        None if isinstance(verdict, str) else verdict for verdict in expected
    ]
    assert policy.suppressed == {r: expected.count(r) for r in ("dedup", "ratelimit")}
    told_of = sum(verdict for verdict in expected if isinstance(verdict, int))
    assert count(policy, "alerts_untold") == sum(policy.suppressed.values()) - told_of


@given(st.lists(st.integers(1, 5), max_size=30), st.integers(0, 30))
def test_batch_borders_do_not_show(ports, border):
    """One Scores or two, in turn: the same alerts."""
    rows = [made.row(dst_port=port, order_ns=i * S, flow_id=i) for i, port in enumerate(ports)]
    whole = judged(Policy(AlertsConfig()), made.scores(rows))
    policy = Policy(AlertsConfig())

    parts = [
        alert
        for part in (rows[:border], rows[border:])
        for alert in judged(policy, made.scores(part))
    ]

    assert parts == whole


def test_scores_judged_in_turn_do_not_mix():
    """Rows of several Scores may be judged alternately, as the order of packet time wants."""
    policy = Policy(AlertsConfig(hold_down_s=0))
    many = [made.scores([made.row(dst_port=b), made.row(dst_port=b + 100)]) for b in range(1, 41)]

    found = [policy.judge(scores, k, made.names, ()).dst_port for k in (0, 1) for scores in many]

    assert found == [*range(1, 41), *range(101, 141)]


@pytest.mark.parametrize(
    ("error", "severity"),
    [(1.0, 3), (1.999, 3), (2.0, 2), (9.999, 2), (10.0, 1), (1e300, 1), (float("inf"), 1)],
)
def test_severity_follows_the_ratio(error, severity):
    """3 below twice the threshold, 2 below ten times, 1 above."""
    assert severity_of(error, 1.0) == severity
    assert severity_of(error * 0.25, 0.25) == severity


def test_a_threshold_of_nothing_is_the_worst():
    """There is no ratio to a threshold of 0."""
    assert severity_of(0.5, 0.0) == 1
    assert severity_of(float("nan"), 1.0) == 1


def test_names_only_flagged_rows():
    """Position among all rows and position among the flagged ones are kept apart."""
    rows = [made.row(dst_port=port, order_ns=port) for port in (1, 2, 3, 4)]
    scores = made.scores(
        rows,
        flagged=[False, True, False, True],
        error=[0.1, 1.1, 0.1, 30.0],
        share=[[0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0]],
    )

    first, second = judged(Policy(AlertsConfig()), scores)

    assert (first.dst_port, first.reason, first.error, first.severity) == (2, "gap", 1.1, 3)
    assert (second.dst_port, second.reason, second.error, second.severity) == (4, "rate", 30.0, 1)


def test_an_alert_says_everything_about_its_flow():
    """Each field of a flow row arrives where it belongs."""
    row = made.row(
        first_ts_ns=5,
        last_ts_ns=9,
        flow_first_ts_ns=3,
        packets=[3, 4],
        bytes=[30, 40],
        vlan=12,
        interface=1,
        end_reason=5,
    )

    [alert] = judged(Policy(AlertsConfig()), made.scores([row]), ("eth0", "tap1"))

    assert (alert.timestamp_ns, alert.flow_start_ns, alert.flow_end_ns) == (9, 5, 9)
    assert (alert.flow_packets, alert.flow_bytes, alert.end_reason) == ((3, 4), (30, 40), "evicted")
    assert (alert.src, alert.src_port, alert.dst, alert.dst_port) == (
        "10.0.0.1", 50000, "10.0.0.2", 443,
    )  # fmt: skip
    assert (alert.vlan, alert.in_iface, alert.proto, alert.flow_id) == (12, "tap1", "TCP", 7)
    assert (alert.frame_number, alert.schema) == (0, "flow/1:0123abcd")
    assert (alert.threshold, alert.p_value, alert.bundle) == (1.0, 0.001, "office")


def test_a_packets_alert_has_the_start_of_its_flow():
    """A packet row carries its own time and the first time of its flow, and no end."""
    row = made.row(frame_number=42, first_ts_ns=8, last_ts_ns=8, flow_first_ts_ns=3, interface=9)

    [alert] = judged(Policy(AlertsConfig()), made.scores([row], view="packet"))

    assert (alert.frame_number, alert.timestamp_ns, alert.flow_start_ns) == (42, 8, 3)
    assert (alert.end_reason, alert.in_iface) == ("", "")


def test_a_frame_without_a_flow_is_named_by_its_ends():
    """ARP and the like: source, then destination; no flow id, no flow start."""
    row = made.row(proto=0, is_flow=0, frame_number=1, flow_first_ts_ns=0, first_ts_ns=8)

    [alert] = judged(Policy(AlertsConfig()), made.scores([row], view="packet"))

    assert alert.entity == "10.0.0.1 > 10.0.0.2"
    assert (alert.flow_id, alert.flow_start_ns, alert.src_port) == (0, 8, 0)


def test_an_ipv6_port_stands_behind_brackets():
    """Else the port would read as one more group of the address."""
    row = made.row(ip_version=6)

    assert entity_of("flow", row, "2001:db8::1", "2001:db8::2") == "2001:db8::1 > [2001:db8::2]:443"


def test_features_come_by_share_and_ties_by_column():
    """At most five; what is no number weighs nothing."""
    share = [[0.1, np.nan, 0.3, 0.1, 0.3, 0.2]]

    [alert] = judged(Policy(AlertsConfig()), made.scores([made.row()], share=share))

    assert [f.name for f in alert.features] == ["rate", "ports", "window", "duration", "gap"]
    assert alert.reason == "rate"
    first = alert.features[0]
    assert (first.unit, first.observed, first.expected, first.share) == ("B/s", 2000.0, 20.0, 0.3)


def test_alert_ids_are_those_of_every_replay():
    """The same row has the same id in another run; another row, view or bundle has another."""
    rows = [
        made.row(),
        made.row(flow_id=8),
        made.row(first_ts_ns=1),
        made.row(frame_number=1),
        made.row(frame_number=2),
    ]
    configs = AlertsConfig(hold_down_s=0)

    def ids(**fields):
        return [alert.alert_id for alert in judged(Policy(configs), made.scores(rows, **fields))]

    assert ids() == ids()
    seen = ids() + ids(bundle="other") + ids(view="packet")
    assert len(set(seen)) == 15
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in seen)


def test_all_labels_are_there_from_the_start():
    """A rate needs a zero to start from."""
    policy = Policy(AlertsConfig(), [("flow", "ae")])

    assert {policy_label for policy_label in _labels(policy, "alerts_total")} == {
        ("flow", "ae", "1"), ("flow", "ae", "2"), ("flow", "ae", "3"),
    }  # fmt: skip
    assert _labels(policy, "alerts_suppressed_total") == {("dedup",), ("ratelimit",)}

    judged(policy, made.scores(at(1, 100, 200), error=[1.5, 5, 50]))

    assert [count(policy, "alerts_total", "flow", "ae", s) for s in "123"] == [1, 1, 1]
    assert policy.raised == 3


def _labels(policy, name):
    [tally] = [tally for tally in policy.tallies() if tally.name == name]
    return set(tally.values)


def test_a_class_is_told_by_its_word():
    """Observed and expected; what is no index of a word stays a number."""
    schema = made.schema()
    words = replace(schema.columns[1], categories=("tcp", "udp", "icmp"))
    schema = replace(schema, columns=(schema.columns[0], words, *schema.columns[2:]))
    rows = [made.row(src=f"10.0.0.{k}", order_ns=k) for k in range(1, 4)]
    observed = np.tile(np.arange(6.0), (3, 1))
    expected = observed + 1
    observed[:, 1], expected[:, 1] = [2, 1, 3], [0, 0.5, -1]
    found = made.scores(rows, schema=schema, observed=observed, expected=expected)
    told = [alert.features[0] for alert in judged(Policy(AlertsConfig()), found)]

    assert [(f.name, f.observed, f.expected) for f in told] == [
        (words.name, "icmp", "tcp"),
        (words.name, "udp", 0.5),
        (words.name, 3.0, -1.0),
    ]
