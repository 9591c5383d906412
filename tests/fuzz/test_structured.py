"""Frames that are right but for one field: hypothesis looks for the one that hurts."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decode.made import Frame
from tests.fuzz import decoding
from tests.fuzz.cases import Case
from tests.fuzz.stacks import one_field_wrong

pytestmark = pytest.mark.kernel


def case_of(frames: list[Frame], depth: int) -> Case:
    about = [
        {"link_type": f.link_type, "wire_bytes": f.wire_bytes, "vlan_tci": f.vlan_tci}
        for f in frames
    ]
    return Case("decode", tuple(f.data for f in frames), tuple(about), {"tunnel_depth": depth})


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(one_field_wrong(), min_size=1, max_size=8), st.sampled_from([0, 1, 8]))
def test_one_wrong_field_gives_one_row_that_the_twin_gives_too(frames, depth):
    """At the end of a guarded page, in batches of every size, tunnels opened or not."""
    seen: Counter[str] = Counter()

    decoding.run(case_of(frames, depth), seen)

    rows = sum(n for name, n in seen.items() if name.startswith("decode_packets_total"))
    assert rows == len(frames)


def test_most_stacks_decode_when_no_field_is_wrong():
    """The strategy builds what it says: without its wrong field a frame would be OK."""
    statuses: Counter[str] = Counter()

    @settings(derandomize=True, deadline=None, max_examples=150, database=None)
    @given(one_field_wrong())
    def look(frame):
        packet = decoding.decoder(8).decode(decoding.batch([frame]))[0]
        statuses[decoding.DecodeStatus(int(packet["status"])).name] += 1

    look()

    assert statuses["OK"] > 20
    assert len(statuses) > 10
