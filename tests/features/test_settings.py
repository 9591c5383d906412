"""Keys of the configuration that values depend on: none is forgotten, none is named in vain."""

import numpy as np
import pytest

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.detect.export import as_export
from tapwatch.features import SCHEMAS
from tapwatch.features.settings import DEPENDS_ON, settings_of
from tapwatch.pipeline import Corridor, extract
from tests.conftest import pcap_bytes

#: Sections that no value of a row depends on.
OUTSIDE = {"capture", "detect", "alerts", "telemetry"}
#: How much is remembered: values change only where a table overflows, which is counted.
CAPACITIES = {
    "flows.capacity",
    "flows.fragment_capacity",
    "flows.hash_seed",
    "conversations.capacity",
    "packet.pair_capacity",
    "labels.conversations",
    "kdd.hosts",
    "kdd.window_connections",
    "kdd.content_connections",
    "windows.hosts",
    "windows.pairs",
    "windows.channels",
    "sequences.rows",
    "afterimage.mi_capacity",
    "afterimage.h_capacity",
    "afterimage.hh_capacity",
    "afterimage.hphp_capacity",
}


FLOWS = (
    "flows.idle_timeout_s",
    "flows.udp_idle_timeout_s",
    "flows.icmp_idle_timeout_s",
    "flows.active_timeout_s",
    "flows.linger_s",
)
#: What each view looks at, written a second time: a key that is forgotten cannot hide.
LOOKS_AT = {
    "packet": {"decode.tunnel_depth", *FLOWS},
    "flow": {"decode.tunnel_depth", *FLOWS},
    "kdd": {
        *("decode.tunnel_depth", *FLOWS),
        *("kdd.host_window", "kdd.diff_rates", "kdd.content_bytes"),
    },
    "afterimage": {"decode.tunnel_depth"},
    "afterimage_115": {"decode.tunnel_depth"},
    "host": {
        *("decode.tunnel_depth", *FLOWS),
        *("windows.host_s", "windows.hop_s", "windows.horizon_s"),
    },
}


def test_no_key_of_a_view_is_forgotten():
    """Nor is one named that it does not look at."""
    assert {view: set(keys) for view, keys in DEPENDS_ON.items()} == LOOKS_AT


def test_a_timeout_changes_rows_of_packets_and_nothing_that_an_export_gives(tmp_path):
    """Two frames of UDP, 20 s apart: one flow or two, and the same export."""
    path = tmp_path / "two.pcap"
    query = bytes.fromhex(
        "02 00 00 00 00 01  02 00 00 00 00 02  08 00"
        "45 00 00 1c 00 01 00 00 40 11 00 00 c0 a8 01 01 c0 a8 01 02 bf 00 00 35 00 08 00 00"
    )
    path.write_bytes(pcap_bytes([(1_700_000_000 * 10**9, query), (1_700_000_020 * 10**9, query)]))
    made = []
    for timeout_s in (30.0, 5.0):
        config = Config.model_validate({"flows": {"udp_idle_timeout_s": timeout_s}})
        source = open_captures([str(path)])
        corridor = Corridor(config, ["packet"], dtype=np.float64)
        rows = [batch.values for batch, _ in extract(source, corridor, "packet")]
        source.close()
        made.append(np.concatenate(rows))

    assert not np.array_equal(*made)
    np.testing.assert_array_equal(*(as_export(SCHEMAS["packet"], rows) for rows in made))


def test_every_key_of_the_configuration_was_thought_of():
    """It changes values of some view, or it is a capacity; a new key has to be put somewhere."""
    keys = {
        f"{name}.{key}" for name, section in Config() if name not in OUTSIDE for key, _ in section
    }
    named = {key for names in DEPENDS_ON.values() for key in names}

    assert named | CAPACITIES == keys
    assert not named & CAPACITIES


@pytest.mark.parametrize("view", SCHEMAS)
def test_every_view_says_what_it_depends_on(view):
    """Values as the file has them; those of another file where it differs."""
    config = Config.model_validate({"decode": {"tunnel_depth": 3}})
    settings = settings_of(view, Config())

    assert list(settings) == list(DEPENDS_ON[view])
    assert settings_of(view, config) == settings | {"decode.tunnel_depth": 3}
