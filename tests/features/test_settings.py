"""Keys of the configuration that values depend on: none is forgotten, none is named in vain."""

import pytest

from tapwatch.config import Config
from tapwatch.features import SCHEMAS
from tapwatch.features.settings import DEPENDS_ON, settings_of

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
