"""The sorter: order by last packet, bounded, whatever the batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapwatch.features.sorter import Sorter
from tapwatch.tables import ROW

S = 10**9


def rows_of(*entries: tuple[float, float, int]) -> np.ndarray:
    """ROW of (order in s, last packet in s, flow id)."""
    rows = np.zeros(len(entries), ROW)
    for i, (order_s, last_s, flow_id) in enumerate(entries):
        rows[i]["order_ns"], rows[i]["last_ts_ns"] = round(order_s * S), round(last_s * S)
        rows[i]["flow_id"], rows[i]["frame_number"] = flow_id, i
    return rows


def put_through(rows, cuts=(), silence_s=10, max_rows=1000):
    """What comes out of a sorter that takes these rows in pieces, and the sorter."""
    out = []
    sorter = Sorter(lambda r, v: out.append((r.copy(), v.copy())), 1, silence_s * S, max_rows)
    for piece in np.split(rows, sorted(cuts)):
        sorter.add(piece, piece["frame_number"][:, None].astype(float))
    sorter.finish()
    if not out:
        return rows[:0], sorter
    found = np.concatenate([r for r, _ in out])
    assert np.array_equal(found["frame_number"], np.concatenate([v for _, v in out])[:, 0])
    return found, sorter


def keys(rows) -> list[tuple[int, int]]:
    """(last_ts_ns, flow_id) of rows."""
    return list(zip(rows["last_ts_ns"].tolist(), rows["flow_id"].tolist(), strict=True))


def traffic(seed: int, n_rows: int) -> np.ndarray:
    """Rows as a flow table with timeouts up to 10 s lets them go."""
    rng = np.random.default_rng(seed)
    last = rng.integers(0, 120 * S, n_rows)
    end = last + rng.choice([0, 1, 5 * S, 10 * S], n_rows)
    order = (end // S + 1) * S
    rows = np.zeros(n_rows, ROW)
    rows["last_ts_ns"], rows["order_ns"], rows["flow_id"] = last, order, rng.integers(0, 9, n_rows)
    rows = rows[np.lexsort((rows["flow_id"], rows["last_ts_ns"], rows["order_ns"]))]
    rows["frame_number"] = np.arange(n_rows)
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_rows_come_out_by_last_packet_and_flow(seed):
    """Flows that ended by silence stand where their last packet was."""
    rows = traffic(seed, 3000)

    found, sorter = put_through(rows, max_rows=10_000)

    assert keys(found) == sorted(keys(rows))
    assert sorter.n_out_of_order == 0


def test_rows_go_out_before_the_end():
    """Only what an earlier row may still precede is held."""
    seen = []
    sorter = Sorter(lambda r, v: seen.extend(keys(r)), 1, 10 * S)
    for second in range(100):
        sorter.add(rows_of((second + 1, second, 1)), np.zeros((1, 1)))

    assert len(seen) > 70


@given(st.integers(0, 10**6), st.sets(st.integers(0, 200)), st.sampled_from([2, 3, 17, 64, 1000]))
@settings(deadline=None)
def test_batches_do_not_show(seed, cuts, max_rows):
    """Cut anywhere, even where rows have to go out too early, the result is the same."""
    rows = traffic(seed, 200)
    rows["last_ts_ns"][seed % 200] -= 100 * S

    whole, one = put_through(rows, (), 10, max_rows)
    parts, two = put_through(rows, cuts, 10, max_rows)

    assert np.array_equal(whole, parts)
    assert one.n_out_of_order == two.n_out_of_order
    assert sorted(keys(whole)) == sorted(keys(rows))


@pytest.mark.parametrize("max_rows", [1, 2, 5, 1024, 1025, 3000])
def test_no_more_rows_are_held_than_allowed(max_rows):
    """The older half goes out, nothing is lost, and memory stays within the bound."""
    rows = traffic(1, 3000)

    found, sorter = put_through(rows, range(0, 3000, 7), 10, max_rows)

    assert sorted(keys(found)) == sorted(keys(rows))
    assert len(sorter._rows) <= max_rows


def test_what_comes_too_late_is_counted():
    """A row from the past after its place has gone out comes out late, and is not lost."""
    rows = rows_of((1, 0.5, 1), (50, 49.5, 2), (51, 0.25, 3), (90, 89.5, 4), (91, 0.5, 0))

    found, sorter = put_through(rows)

    assert found["flow_id"].tolist() == [1, 3, 2, 0, 4]
    assert sorter.n_out_of_order == 2


def test_a_row_is_held_for_silence_and_tick():
    """The latest row that may still precede: silent for the whole timeout, out a tick later."""
    rows = rows_of((1, 0.5, 1), (12, 11, 2), (22, 11, 1), (24, 12.5, 9), (200, 199, 3))

    found, sorter = put_through(rows)

    assert found["flow_id"].tolist() == [1, 1, 2, 9, 3]
    assert sorter.n_out_of_order == 0


def test_equal_keys_keep_the_order_of_their_coming():
    """Rows that agree in last packet and flow come out as they came in."""
    rows = rows_of(*((k // 10, 3, 7) for k in range(100)))

    found, sorter = put_through(rows, max_rows=16)

    assert found["frame_number"].tolist() == list(range(100))
    assert sorter.n_out_of_order == 0


def test_late_is_what_is_behind_the_latest_row_so_far():
    """A row that is later than a late one, and still behind another, is late too."""
    found, sorter = put_through(rows_of((1, 50, 1), (2, 10, 2), (3, 20, 3)), max_rows=1)

    assert found["flow_id"].tolist() == [1, 2, 3]
    assert sorter.n_out_of_order == 2


def test_nothing_gives_nothing():
    """No rows, no output."""
    found, sorter = put_through(rows_of())

    assert len(found) == sorter.n_out_of_order == 0
