"""The table's hash: the same in both directions, spread, and not to be computed backwards."""

import numpy as np
import pytest

from tapwatch.flows.hashing import mix, table_hash
from tapwatch.tables import PACKET
from tests.flows import naive_conversations as naive

pytestmark = pytest.mark.kernel

MASK = 2**64 - 1
META = np.uint64(6 | 6 << 8)
N = 200


def unmixed(x):
    """The word that `mix` turns into `x`."""
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        y = x
        for _ in range(3):
            y = x ^ y >> shift
        x = y * pow(factor, -1, 2**64) & MASK
    return x


def hashes(*sources, seed=0):
    """Hashes of flows from (high, low, port) to one host."""
    row = np.zeros(1, PACKET)[0]
    row["dst_hi"], row["dst_lo"] = 2**61 + 1, 5
    found = set()
    for hi, lo, port in sources:
        row["src_hi"], row["src_lo"] = hi, lo
        found.add(int(table_hash(row, port, 80, META, np.uint64(seed))))
    return found


def plain(x):
    """`mix` of a Python number."""
    return int(mix(np.uint64(x)))


def test_the_mix_can_be_run_backwards():
    """So a hash of nothing but mixes is no obstacle: what the attacks below are made of."""
    for x in (0, 1, 12_345, MASK, 0x0123456789ABCDEF):
        assert plain(unmixed(x)) == x
        assert unmixed(plain(x)) == x


@pytest.mark.parametrize("seed", [0, 12_345])
def test_no_equal_hashes_by_computing(seed):
    """Whoever knows the seed solves each round for its word, or lets one word undo another."""
    hi, target = 2**61 + 7, 0x1234567890ABCDEF
    inner = plain(hi ^ seed)
    fixed = range(1, N + 1)
    attacks = {
        # the low half for each port, or the high half for each low half, from a result
        "low": [(hi, unmixed(target ^ port) ^ inner, port) for port in fixed],
        "low, added": [(hi, unmixed(target ^ port) ^ inner ^ hi, port) for port in fixed],
        "high": [(unmixed(target ^ low) ^ seed, low, 7) for low in fixed],
        # the low half undoes what the high half did
        "undo": [(k, plain(k ^ seed) ^ target, 7) for k in fixed],
        "undo, added": [(k, plain(k ^ seed) ^ k ^ target, 7) for k in fixed],
        "undo, state added": [
            (k, h ^ unmixed(target ^ h), 7) for k in fixed for h in [plain(k ^ seed) ^ seed]
        ],
        # equal rounds cancel where words are added as they are
        "twins": [(x ^ seed, plain(x) ^ seed, 7) for x in fixed],
        "turned": [(k, plain(k ^ seed) ^ (k << 23 | k >> 41) & MASK ^ target, 7) for k in fixed],
    }
    for name, keys in attacks.items():
        found = hashes(*keys, seed=seed)
        assert len(found) == len(set(keys)), name
        assert len({value >> 58 for value in found}) > 40, name


def test_both_directions_are_equal_and_nothing_else():
    """Swapped endpoints give the hash of the key; any other change gives another one."""
    row = np.zeros(1, PACKET)[0]
    row["src_hi"], row["src_lo"], row["dst_hi"], row["dst_lo"] = 1, 2, 3, 4
    there = table_hash(row, 5, 6, META, np.uint64(9))
    row["src_hi"], row["src_lo"], row["dst_hi"], row["dst_lo"] = 3, 4, 1, 2
    assert table_hash(row, 6, 5, META, np.uint64(9)) == there

    others = {int(there), int(table_hash(row, 5, 6, META, np.uint64(9)))}
    others.add(int(table_hash(row, 6, 5, META, np.uint64(8))))
    others.add(int(table_hash(row, 6, 5, META ^ np.uint64(1), np.uint64(9))))
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"):
        other = row.copy()
        other[name] += 1
        others.add(int(table_hash(other, 6, 5, META, np.uint64(9))))
    assert len(others) == 8


def test_the_twin_has_the_same_hash():
    """Whole numbers without a width give the same bucket."""
    row = np.zeros(1, PACKET)[0]
    row["src_hi"], row["src_lo"], row["dst_hi"], row["dst_lo"] = 2**63 + 5, 2**64 - 3, 7, 2**40 + 1
    words = {"ip_version": 6, "tunnel_id": 0}
    got = int(table_hash(row, 65_535, 443, META, np.uint64(0)))

    here, there = (2**63 + 5, 2**64 - 3, 65_535), (7, 2**40 + 1, 443)
    assert naive.bucket_of(here, there, words) == got >> 58
