"""What a live tap says of a quiet wire changes no row, no alert and not their order."""

from dataclasses import replace

import numpy as np
import pytest

from tapwatch.capture import MemorySource
from tapwatch.capture.delivery import read_only
from tapwatch.config import Config
from tapwatch.pipeline import House, imbalances, run
from tapwatch.tables import FRAME, ROW, FrameBatch
from tests.test_pipeline import START_NS, EveryRow, Kept, S, query

CONFIG = Config.model_validate(
    {
        # 16 flows a bucket: many are evicted.
        "flows": {"capacity": 1024},
        "alerts": {"rate_limit_per_min": 200, "hold_down_s": 20.0},
    }
)
#: What lies between the fields of a row is nobody's.
PACKED = np.dtype([(name, ROW[name]) for name in ROW.names])


def traffic(n, n_ports, seed, scale=1.0):
    """Queries whose gaps go from microseconds to beyond the timeout; some a little late."""
    random = np.random.default_rng(seed)
    gaps_ns = random.choice(
        [10**3, 10**6, S // 10, S, 7 * S, 31 * S], n, p=[0.6, 0.3, 0.07, 0.02, 0.007, 0.003]
    )
    gaps_ns = (gaps_ns * random.uniform(0.5, 1.5, n) * scale).astype(np.int64)
    ts_ns = START_NS + np.cumsum(gaps_ns)
    late = random.random(n) < 0.02
    ts_ns[late] -= random.integers(0, 1000, late.sum())
    ports = random.integers(1024, 1024 + n_ports, n)
    return [(int(t), query(int(p), bytes(int(p) % 5))) for t, p in zip(ts_ns, ports, strict=True)]


class Restless:
    """A source that says between its batches that time has moved on, as far as `until` tells."""

    lossless = True

    def __init__(self, frames, until, seed, batch_frames=97):
        self._source = MemorySource(frames, batch_frames=batch_frames)
        self._clock = np.maximum.accumulate([ts_ns for ts_ns, _ in frames])
        # A frame that is a little late is no news to a clock that has passed it.
        self._earliest = np.minimum.accumulate([ts_ns for ts_ns, _ in frames][::-1])[::-1]
        self._until, self._random = until, np.random.default_rng(seed)
        self._said = -(1 << 63)
        self._pending = 0
        self.counts, self.interfaces = self._source.counts, ()

    def read(self):
        """A batch, or an empty one that says how late it is; a batch may say so too."""
        if self._pending:
            self._pending -= 1
            self._say()
            nothing = read_only(np.zeros(0, np.uint8)), np.zeros(0, FRAME)
            return FrameBatch(*nothing, self._said, flush=bool(self._random.integers(2)))
        batch = self._source.read()
        if batch is None:
            return None
        self._said = max(self._said, batch.until_ns)
        if self.counts.packets < len(self._clock):
            self._pending = int(self._random.integers(4))
            if self._random.integers(2):
                self._say()
        return replace(batch, until_ns=self._said, flush=batch.flush or self._random.random() < 0.3)

    def _say(self):
        done = self.counts.packets
        bounds = int(self._clock[done - 1]), int(self._earliest[done])
        self._said = max(self._said, self._until(*bounds, self._random))

    def tallies(self):
        """Nothing."""
        return []


def through(source, workers=1):
    """Rows by view in the order in which they came, alerts, and the ledger."""
    sink = Kept()
    scorers = [EveryRow("flow"), EveryRow("packet")]
    house = House(CONFIG, source, scorers, [sink], workers=workers)
    rows = {view: [bytearray(), bytearray()] for view in ("flow", "packet")}
    for scorer in scorers:
        scorer.score = _keeping(scorer.score, rows[scorer.view])
    run(source, house, lambda: False)
    summary = house.summary()
    assert imbalances(summary) == []
    return rows, sink.alerts, summary


def _keeping(score, kept):
    def wrapped(batch):
        kept[0] += batch.rows.astype(PACKED).tobytes()
        kept[1] += batch.values.tobytes()
        return score(batch)

    return wrapped


def nothing_new(before, _after, _random):
    """No later than the last frame."""
    return before


def anything_true(before, after, random):
    """Any time up to the next frame."""
    return before if after <= before else int(random.integers(before, after, endpoint=True))


def the_next_frame(_before, after, _random):
    """All that can be known."""
    return after


def same_second(before, after, random):
    """Too far, but not into the next full second after the next frame."""
    return max(before, after + int(random.integers(S - after % S)))


@pytest.mark.parametrize("until", [nothing_new, anything_true, the_next_frame, same_second])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("n_ports", "scale"), [(40, 1.0), (3000, 0.2)])
def test_rows_and_alerts_do_not_depend_on_what_is_said_of_silence(until, workers, n_ports, scale):
    """Rows, alerts, their order, and every count; with and without evictions."""
    frames = traffic(6000, n_ports, n_ports, scale)

    wanted = through(MemorySource(frames, batch_frames=8192))
    found = through(Restless(frames, until, seed=5), workers)

    assert found[0] == wanted[0]
    assert found[1] == wanted[1]
    assert found[2] == wanted[2]
    assert wanted[2]["flows"]["ended"]["idle"] > 20
    assert (wanted[2]["flows"]["ended"]["evicted"] > 100) == (n_ports == 3000)


def test_a_silence_that_was_said_wrongly_loses_nothing():
    """A tap whose clock ran an hour ahead: rows differ, but every packet is accounted for."""
    frames = traffic(3000, 40, seed=3)

    _, _, summary = through(Restless(frames, lambda _, after, __: after + 3600 * S, seed=3))

    assert summary["flows"]["packets"] == len(frames)
    assert summary["flows"]["late_packets"] > 0


def test_a_flow_ends_while_the_wire_is_silent():
    """Its row comes out at the full second after its deadline, without another packet."""
    source = MemorySource([(START_NS, query(1024))])
    house = House(CONFIG, source, [EveryRow("flow")], [sink := Kept()])
    house.carry(source.read())
    nothing = read_only(np.zeros(0, np.uint8)), np.zeros(0, FRAME)

    told = []
    for until_ns in (START_NS + 30 * S, START_NS + 31 * S - 1, START_NS + 31 * S):
        house.carry(FrameBatch(*nothing, until_ns, flush=True))
        told.append(len(sink.alerts))

    assert told == [0, 0, 1]
    assert sink.alerts[0].end_reason == "idle"


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_too_many_come_out_the_same(seed):
    """Where they cannot wait for their second, they leave by the count of packets alone."""
    ends = [(START_NS + i, query(1024 + i % 60_000)) for i in range(131_072)]
    frames = [*ends, (START_NS + 40 * S, query(7))]

    wanted = through(MemorySource(frames))
    found = through(Restless(frames, the_next_frame, seed, batch_frames=32_768))

    assert found == wanted
