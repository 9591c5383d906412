"""Tallies become metrics, whole snapshots at a time."""

import random
import subprocess
import threading
import time

import numpy as np
import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tapwatch.alerts import LineSink, Policy
from tapwatch.config import AlertsConfig
from tapwatch.errors import TapwatchError
from tapwatch.tables import Histogram, Tally
from tapwatch.telemetry import Stopwatch
from tapwatch.telemetry.collector import TallyCollector, registry_of
from tests.alerts import made as alerts_made
from tests.telemetry import made
from tests.telemetry.programs import debian_program


def value(collector, name, **labels):
    """One sample as a scrape would see it."""
    return registry_of(collector).get_sample_value(name, labels)


def test_counters_gauges_and_histograms_come_out_as_counted():
    """Names get the prefix; buckets are cumulative and end in +Inf."""
    collector = TallyCollector([made.tallies])

    assert value(collector, "tapwatch_decode_packets_total", status="ok") == 12_345_678_901
    assert value(collector, "tapwatch_decode_packets_total", status="truncated") == 0
    assert value(collector, "tapwatch_flow_active") == 17
    who = dict(view="flow", detector="ae")
    buckets = [
        value(collector, "tapwatch_reconstruction_error_bucket", **who, le=le)
        for le in ("0.1", "1.0", "10.0", "+Inf")
    ]
    assert buckets == [5, 5, 7, 8]
    assert value(collector, "tapwatch_reconstruction_error_count", **who) == 8
    assert value(collector, "tapwatch_reconstruction_error_sum", **who) == 33.25


def test_says_which_build_runs():
    """Version and Python, always 1; and the metrics of the process."""
    text = generate_latest(registry_of(TallyCollector([]))).decode()

    assert 'tapwatch_build_info{python="3.' in text
    assert "process_resident_memory_bytes" in text
    assert "_created" not in text


def test_a_scrape_sees_the_published_counts_only():
    """What a room has counted since is not there until the next publish."""
    counts = np.array([0, 0, 0, 0])
    series = {("ok",): 0.0}

    def room():
        histogram = Histogram(made.EDGES, counts, float(counts.sum()))
        yield Tally("rows_total", "counter", "Rows.", ("status",), series)
        yield Tally("size", "histogram", "Size.", (), {(): histogram})

    collector = TallyCollector([room])
    counts += 1
    series[("ok",)] += 5

    assert value(collector, "tapwatch_rows_total", status="ok") == 0
    assert value(collector, "tapwatch_size_count") == 0
    collector.publish()
    assert value(collector, "tapwatch_rows_total", status="ok") == 5
    assert value(collector, "tapwatch_size_count") == 4


def test_no_scrape_sees_half_an_update():
    """Two counters that always move together are equal in every scrape."""
    pair = {("a",): 0.0, ("b",): 0.0}
    collector = TallyCollector([lambda: [Tally("t_total", "counter", "T.", ("x",), pair)]])
    stop = threading.Event()

    def count():
        while not stop.is_set():
            pair[("a",)] += 1
            pair[("b",)] += 1
            collector.publish()

    thread = threading.Thread(target=count)
    thread.start()
    seen, last = [], 0.0
    try:
        # Until the counting has been seen to move a few times, however busy the machine is.
        while last < 50 or len(seen) < 2000:
            seen.append({s.value for s in collector.collect()[0].samples})
            last = max(seen[-1])
    finally:
        stop.set()
        thread.join()

    assert all(len(values) == 1 for values in seen)
    assert len({max(values) for values in seen}) > 1


def test_publishes_when_due_and_not_more_often(monkeypatch):
    """Called for each batch it copies a few times a second."""
    now = [100.0]
    monkeypatch.setattr("tapwatch.telemetry.collector.time.monotonic", lambda: now[0])
    reads = []
    collector = TallyCollector([lambda: reads.append(now[0]) or []])

    for now[0] in (100.1, 100.15, 100.25, 100.3, 100.5):
        collector.publish_when_due()

    assert reads == [100.0, 100.25, 100.5]


def test_series_of_two_rooms_make_one_family():
    """Two sinks count under one name; a family must not come twice in a scrape."""
    one, two = (
        lambda label=label, n=n: [Tally("sent_total", "counter", "Sent.", ("sink",), {(label,): n})]
        for label, n in (("file", 1), ("stdout", 2))
    )

    collector = TallyCollector([one, two, two])

    assert value(collector, "tapwatch_sent_total", sink="file") == 1
    assert value(collector, "tapwatch_sent_total", sink="stdout") == 4
    assert generate_latest(registry_of(collector)).count(b"# TYPE tapwatch_sent_total") == 1


def test_histograms_of_two_rooms_add_up_and_of_gauges_the_last_counts():
    """The counts of workers add up; a state cannot."""
    collector = TallyCollector([made.tallies, made.tallies])

    name = "tapwatch_reconstruction_error"
    assert value(collector, f"{name}_bucket", view="flow", detector="ae", le="10.0") == 14
    assert value(collector, f"{name}_sum", view="flow", detector="ae") == 66.5
    assert value(collector, "tapwatch_flow_active") == 17


def test_one_name_for_two_things_is_refused():
    """The message names the metric and both meanings."""
    one = Tally("x", "gauge", "X.", (), {(): 1})
    two = Tally("x", "gauge", "X.", ("sink",), {("file",): 1})

    with pytest.raises(TapwatchError, match=r"metric tapwatch_x: .* by \(\), another a gauge"):
        TallyCollector([lambda: [one, two]])


@pytest.mark.parametrize("is_balanced", [True, False])
def test_the_ledger_is_a_metric(is_balanced):
    """What the summary says of the ledger can be alerted on."""
    collector = TallyCollector([], lambda: {"ledger_balanced": is_balanced})

    assert value(collector, "tapwatch_ledger_balanced") == is_balanced
    assert value(TallyCollector([]), "tapwatch_ledger_balanced") is None


def test_labels_are_escaped():
    """A bundle's name may hold anything."""
    name = 'a"b\\c\nd'
    info = Tally("model_info", "gauge", "Model.", ("bundle",), {(name,): 1})
    text = generate_latest(registry_of(TallyCollector([lambda: [info]]))).decode()

    [family] = [f for f in parse(text) if f.name == "tapwatch_model_info"]

    assert family.samples[0].labels == {"bundle": name}


def _rooms(tmp_path):
    policy = Policy(AlertsConfig(), [("flow", "ae"), ("packet", "ae")])
    sink = LineSink(tmp_path / "alerts.jsonl")
    return policy, sink, [policy.tallies, sink.tallies, Stopwatch().tallies]


def test_promtool_finds_nothing_to_say(tmp_path):
    """Names, units, suffixes and help texts are as Prometheus wants them."""
    promtool = debian_program("promtool")
    _, sink, rooms = _rooms(tmp_path)
    collector = TallyCollector([made.tallies, *rooms])

    lint = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(registry_of(collector)),
        capture_output=True,
        check=False,
    )

    assert (lint.returncode, lint.stdout + lint.stderr) == (0, b"")
    sink.close()


def test_openmetrics_can_be_written(tmp_path):
    """The stricter format takes all of it."""
    _, sink, rooms = _rooms(tmp_path)

    text = openmetrics(registry_of(TallyCollector([made.tallies, *rooms]))).decode()

    assert text.endswith("# EOF\n")
    assert "# TYPE tapwatch_alerts counter" in text
    sink.close()


def test_traffic_adds_no_series(tmp_path):
    """After a thousand alerts between random hosts there are as many series as before."""
    policy, sink, rooms = _rooms(tmp_path)
    collector = TallyCollector(rooms)
    before = [s[:2] for family in collector.collect() for s in family.samples]
    rng = random.Random(1)

    for number in range(1000):
        src, dst = (f"10.{rng.randrange(256)}.{rng.randrange(256)}.1" for _ in range(2))
        row = alerts_made.row(src, dst, dst_port=rng.randrange(65536), order_ns=number * 10**9)
        scores = alerts_made.scores([row], error=rng.uniform(1, 20))
        alert = policy.judge(scores, 0, alerts_made.names, ())
        sink.write([alert] if alert else [])
    collector.publish()

    after = [s[:2] for family in collector.collect() for s in family.samples]
    assert policy.raised > 900
    assert after == before
    sink.close()


def test_the_time_of_the_last_turn_stands_still_with_the_main_loop():
    """A scrape does not move it, a publish does; when the run is over it is not there."""
    name = "tapwatch_pipeline_last_turn_timestamp_seconds"
    before_s = time.time()
    collector = TallyCollector([made.tallies])
    first = value(collector, name)
    time.sleep(0.01)

    assert before_s <= first <= time.time() - 0.01
    assert value(collector, name) == first
    collector.publish()
    assert value(collector, name) > first
    collector.publish(is_over=True)
    assert value(collector, name) is None
    assert value(collector, "tapwatch_flow_active") == 17
