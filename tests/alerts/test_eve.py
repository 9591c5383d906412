"""Alerts as lines of JSON."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tapwatch.alerts import eve
from tapwatch.tables import FeatureShare
from tests.alerts import made

LINE = (
    '{"timestamp":"2026-01-02T03:04:05.678901+0000","event_type":"alert",'
    '"flow_id":1234567890123456789,"community_id":"1:LQU9qZlK+B5F3KDmev6m5PMibrg=",'
    '"in_iface":"eth0","vlan":[12],"src_ip":"10.0.0.1","src_port":50000,"dest_ip":"10.0.0.2",'
    '"dest_port":443,"proto":"TCP","alert":{"signature":'
    '"tapwatch flow ae: init_fwd_win_byts, flow_duration","category":"Anomaly","severity":3,'
    '"action":"allowed"},"flow":{"pkts_toserver":7,"pkts_toclient":5,"bytes_toserver":700,'
    '"bytes_toclient":5000,"start":"2026-01-02T03:04:04.000000+0000",'
    '"end":"2026-01-02T03:04:05.678901+0000","reason":"fin"},"tapwatch":{"alert_id":'
    '"00112233aabbccdd","view":"flow","detector":"ae","bundle":"office","schema":'
    '"flow/1:0123abcd","entity":"10.0.0.1 > 10.0.0.2:443","reason":"init_fwd_win_byts",'
    '"error":0.123457,"threshold":0.1,"ratio":1.23457,"p_value":0.00049975,"folded":2,'
    '"features":[{"name":"init_fwd_win_byts","unit":"B","observed":1024,"expected":64240.2,'
    '"share":0.618034},{"name":"flow_duration","unit":"us","observed":0.333333,"expected":0,'
    '"share":0.25}],"evidence":null}}\n'
)


def test_writes_the_documented_shape():
    """Keys, their order and the digits of every number, byte for byte."""
    assert eve.line(made.alert(vlan=12)) == LINE


def test_a_packet_alert_names_its_frame_and_no_end():
    """The flow of a packet has not ended."""
    document = eve.document(made.alert(frame_number=99, view="packet", end_reason=""))

    assert document["pcap_cnt"] == 99
    assert list(document["flow"])[-1] == "start"


def test_leaves_out_what_does_not_apply():
    """No VLAN, flow, interface, port or Community ID: no key."""
    document = eve.document(
        made.alert(vlan=-1, flow_id=0, in_iface="", src_port=0, dst_port=0, community_id="")
    )

    assert list(document) == [
        "timestamp", "event_type", "src_ip", "dest_ip", "proto", "alert", "tapwatch",
    ]  # fmt: skip


def test_port_zero_is_written_where_the_other_end_has_a_port():
    """Port 0 beside another port is a port; both 0 mean there are none."""
    document = eve.document(made.alert(src_port=0, dst_port=53))

    assert (document["src_port"], document["dest_port"]) == (0, 53)


def test_vlan_zero_is_a_tag():
    """A priority tag has VLAN id 0, which is not the absence of a tag."""
    assert eve.document(made.alert(vlan=0))["vlan"] == [0]


def test_mac_addresses_are_no_ip_addresses():
    """A frame without network addresses has its MAC addresses under `ether`, as in EVE."""
    document = eve.document(made.alert(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff"))

    assert document["ether"] == {"src_mac": "02:00:00:00:00:01", "dest_mac": "ff:ff:ff:ff:ff:ff"}
    assert not {"src_ip", "dest_ip"} & set(document)
    assert "ether" not in eve.document(made.alert(src="aa:bb::ee:ff", dst="1:2:3:4:5:6:7:8"))


def test_a_host_alert_has_no_destination():
    """The host view is about one address."""
    assert "dest_ip" not in eve.document(made.alert(view="host"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_null(value):
    """JSON has no NaN and no Infinity."""
    feature = FeatureShare("gap", "us", value, value, value)
    text = eve.line(made.alert(error=value, threshold=value, p_value=value, features=(feature,)))

    told = json.loads(text, parse_constant=pytest.fail)["tapwatch"]

    assert [told[key] for key in ("error", "threshold", "ratio", "p_value")] == [None] * 4
    assert told["features"][0]["share"] is None


def test_a_threshold_of_nothing_has_no_ratio():
    """Dividing by 0 is null, not an exception."""
    assert eve.document(made.alert(threshold=0.0))["tapwatch"]["ratio"] is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_six_digits(value):
    """Within half a unit of the sixth digit, and six digits are all there is."""
    number = eve.number(value)

    assert number == pytest.approx(value, rel=5.1e-6)
    assert float(f"{number:.6g}") == number
    assert json.loads(json.dumps(number)) == number


@given(st.text(max_size=30))
@example("\x00\x1b\x7f\x9b\u2028\ud800")
def test_any_string_stays_one_printable_line(text):
    """Whatever a name holds, the line is printable ASCII and reads back as it was."""
    line = eve.line(made.alert(entity=text, in_iface=text, reason=text, evidence=text))

    assert line.endswith("}\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert json.loads(line)["tapwatch"]["entity"] == text


@pytest.mark.parametrize(
    ("ts_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000+0000"),
        (999, "1970-01-01T00:00:00.000000+0000"),
        (-1, "1969-12-31T23:59:59.999999+0000"),
        (2**63 - 1, "2262-04-11T23:47:16.854775+0000"),
        (-(2**63), "1677-09-21T00:12:43.145224+0000"),
    ],
)
def test_every_time_that_a_capture_can_hold_is_written(ts_ns, text):
    """From the first to the last nanosecond of 64 bits; nanoseconds are cut, not rounded."""
    assert eve.timestamp(ts_ns) == text


def test_a_class_is_written_as_its_word():
    """A string where other features have a number."""
    feature = FeatureShare("service", "1", "http", 'no "quotes"\n', 1.0)
    [written] = json.loads(eve.line(made.alert(features=(feature,))))["tapwatch"]["features"]

    assert (written["observed"], written["expected"]) == ("http", 'no "quotes"\n')
