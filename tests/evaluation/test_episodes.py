"""Alerts held against episodes."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tapwatch.alerts import eve
from tapwatch.evaluation.episode_report import as_json, render
from tapwatch.evaluation.episodes import (
    Sighting,
    belongs,
    hold_against,
    read_alerts,
    sighting_of,
)
from tapwatch.evaluation.truth import Episode, TruthError
from tests.alerts import made
from tests.evaluation import naive

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def episode(**fields):
    """An episode from 10 to 20 s between A and B."""
    usual = dict(name="1", kind="scan", start_ns=10 * 10**9, end_ns=20 * 10**9)
    usual |= dict(src=A, dst=B, dst_port=None, proto=None)
    return Episode(**(usual | fields))


def sighting(at_s=15.0, *, since_s=None, ends=(A, B), ports=(), **fields):
    """An alert about a row that ended at `at_s`."""
    usual = dict(alert_id=f"{at_s}", model="flow/ae", reason="gap", entity="e", severity=3)
    us = round(at_s * 1e6)
    return Sighting(
        timestamp_us=us,
        start_us=us if since_s is None else round(since_s * 1e6),
        end_us=us,
        addresses=frozenset(ends),
        ports=frozenset(ports),
        **(usual | fields),
    )


@pytest.mark.parametrize(
    ("row", "inside"),
    [
        (dict(at_s=10.0), True),
        (dict(at_s=20.0), True),
        (dict(at_s=9.999999), False),
        (dict(at_s=20.000001), False),
        (dict(at_s=30.0, since_s=5.0), True),
        (dict(at_s=30.0, since_s=20.0), True),
        (dict(at_s=30.0, since_s=20.000001), False),
        (dict(at_s=9.0, since_s=1.0), False),
    ],
)
def test_a_row_overlaps_an_episode_or_not(row, inside):
    """Borders belong to the episode, to the microsecond."""
    assert belongs(sighting(**row), episode()) is inside


@pytest.mark.parametrize(
    ("ends", "known", "meets"),
    [
        ((A, B), dict(src=A, dst=B), True),
        ((B, A), dict(src=A, dst=B), True),
        ((A, C), dict(src=A, dst=B), False),
        ((A, C), dict(src=A, dst=None), True),
        ((C, B), dict(src=A, dst=None), False),
        ((C, B), dict(src=None, dst=None), True),
        ((A,), dict(src=A, dst=B), True),
        ((C,), dict(src=A, dst=B), False),
        ((C,), dict(src=None, dst=None), True),
    ],
)
def test_addresses_meet_in_either_direction(ends, known, meets):
    """All that the episode names; of a host alert its one address."""
    assert belongs(sighting(ends=ends), episode(**known)) is meets


@pytest.mark.parametrize(
    ("ports", "port", "meets"),
    [
        ((50000, 22), 22, True),
        ((22, 50000), 22, True),
        ((50000, 80), 22, False),
        ((50000, 80), None, True),
        ((), 22, True),
    ],
)
def test_ports_agree_where_both_have_one(ports, port, meets):
    """An ICMP answer to an attack on a port has none itself."""
    assert belongs(sighting(ports=ports), episode(dst_port=port)) is meets


@given(
    row=st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted),
    alert_ends=st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=2),
    alert_ports=st.lists(st.integers(1, 3), max_size=2),
    span=st.tuples(st.integers(0, 12_999), st.integers(0, 12_999)).map(sorted),
    ends=st.tuples(*[st.sampled_from([A, B, None])] * 2),
    port=st.sampled_from([None, 1, 2]),
)
def test_agrees_with_the_naive_comparison(row, alert_ends, alert_ports, span, ends, port):
    """Over a small world in which everything meets now and then."""
    alert = sighting(row[1] / 1e6, since_s=row[0] / 1e6, ends=alert_ends, ports=alert_ports)
    truth = episode(start_ns=span[0], end_ns=span[1], src=ends[0], dst=ends[1], dst_port=port)

    expected = naive.belongs(row, alert_ends, alert_ports, span, ends, port)

    assert belongs(alert, truth) == expected


def test_time_to_alert_counts_from_the_first_packet_to_the_first_alert():
    """The earliest of its alerts, in whatever order they come."""
    result = hold_against([episode()], [sighting(18.0), sighting(12.25), sighting(19.0)], None)

    [finding] = result.findings
    assert finding.time_to_alert_s == 2.25
    assert [s.timestamp_us for s in finding.alerts] == [12_250_000, 18_000_000, 19_000_000]


def test_what_belongs_to_no_episode_is_false():
    """False alerts are counted an hour of traffic; a missed episode has no time to alert."""
    missed = episode(name="2", src=C)
    alerts = [sighting(15.0), sighting(25.0), sighting(16.0, ends=(B, "10.0.0.9"))]

    result = hold_against([episode(), missed], alerts, 0.5)

    assert [s.timestamp_us for s in result.false_alerts] == [16_000_000, 25_000_000]
    assert (result.n_found, result.n_alerts, result.false_per_hour) == (1, 3, 4.0)
    assert result.findings[1].time_to_alert_s is None


def test_an_alert_may_belong_to_two_episodes():
    """Episodes that overlap share their alerts."""
    result = hold_against([episode(), episode(name="2")], [sighting()], None)

    assert (result.n_found, result.false_alerts, result.false_per_hour) == (2, (), None)


def test_an_alert_and_its_line_are_the_same(tmp_path):
    """Flow, packet, ARP, MAC and host alerts read back as they were written."""
    alerts = [
        made.alert(),
        made.alert(frame_number=3, end_reason="", view="packet"),
        made.alert(src_port=0, dst_port=0, flow_id=0, end_reason="", proto="ARP"),
        made.alert(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", flow_id=0),
        made.alert(view="host", src="2001:db8::1"),
    ]
    path = tmp_path / "alerts.jsonl"
    path.write_text("".join(map(eve.line, alerts)) + '\n{"event_type":"flow"}\n')

    read = read_alerts(path)

    assert read == [sighting_of(alert) for alert in alerts]
    flow, packet, arp, mac, host = read
    assert (flow.start_us, flow.end_us) == (1_767_323_044_000_000, 1_767_323_045_678_901)
    assert packet.start_us == packet.end_us == packet.timestamp_us
    assert (flow.addresses, flow.ports, arp.ports) == ({A, B}, {50000, 443}, frozenset())
    assert mac.addresses == {"02:00:00:00:00:01", "02:00:00:00:00:02"}
    assert host.addresses == {"2001:db8::1"}


@pytest.mark.parametrize(
    "line",
    [
        "no",
        "[]",
        "1",
        "{}",
        '{"event_type":"alert","tapwatch":{}}',
        '{"event_type":"alert","tapwatch":{"alert_id":"x"},"timestamp":5}',
        "[" * 100_000,
    ],
)
def test_refuses_a_line_that_is_no_alert(tmp_path, line):
    """The message has file and line."""
    path = tmp_path / "alerts.jsonl"
    path.write_text(eve.line(made.alert()) + line + "\n")

    with pytest.raises(TruthError, match=r"alerts.jsonl:2: want an alert as tapwatch writes it"):
        read_alerts(path)


def _result():
    alerts = [sighting(15.0, reason="gap"), *(sighting(30.0 + i) for i in range(12))]
    return hold_against([episode(), episode(name="2", kind="beacon", src=C)], alerts, 2.0)


def test_the_json_names_what_was_missed():
    """Everything that the table says, and each false alert by its id."""
    document = as_json(_result(), {"labels": "truth.csv"})

    assert json.loads(json.dumps(document)) == document
    assert (document["found"], document["missed"], document["alerts"]) == (1, ["2"], 13)
    assert (document["hours"], document["false_alerts_per_hour"]) == (2, 6)
    assert len(document["false_alerts"]) == 12
    first, second = document["episodes"]
    assert (first["time_to_alert_s"], first["alerts_by_model"]) == (5, {"flow/ae": 1})
    assert (second["found"], second["first_alert"]) == (False, None)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_says_found_and_missed(width):
    """One row an episode, the false alerts below, within the width of the terminal."""
    stream = io.StringIO()

    render(_result(), Console(file=stream, width=width, color_system=None))

    text = stream.getvalue()
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "1 scan found 5.0 s 1 flow/ae gap" in rows
    assert "2 beacon missed 0" in rows
    assert "1 of 2 episodes found (50%)" in text
    assert "12 of 13 alerts belong to no episode in 2 h (6 an hour)" in text
    assert "... and 2 more" in text
    assert max(map(len, text.splitlines())) <= width
