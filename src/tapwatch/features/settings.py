"""Which keys of the configuration change what the values of a view are.

A model that learnt under one value of such a key means nothing under another. Capacities are not
among them: they change values only where a table overflows, which is counted.
"""

from typing import Final

from tapwatch.config import Config

_DECODE: Final = ("decode.tunnel_depth",)
_FLOWS: Final = (
    "flows.idle_timeout_s",
    "flows.udp_idle_timeout_s",
    "flows.icmp_idle_timeout_s",
    "flows.active_timeout_s",
    "flows.linger_s",
)

#: View -> dotted keys.
DEPENDS_ON: Final[dict[str, tuple[str, ...]]] = {
    "packet": (*_DECODE, *_FLOWS),
    "flow": (*_DECODE, *_FLOWS),
    "kdd": (*_DECODE, *_FLOWS, "kdd.host_window", "kdd.diff_rates", "kdd.content_bytes"),
    "afterimage": _DECODE,
    "afterimage_115": _DECODE,
    "host": (*_DECODE, *_FLOWS, "windows.host_s", "windows.hop_s", "windows.horizon_s"),
}


def settings_of(view: str, config: Config) -> dict[str, bool | int | float | str]:
    """Keys that the values of a view depend on, and what they are in `config`.

    Examples
    --------
    >>> settings_of("afterimage", Config())
    {'decode.tunnel_depth': 0}
    """
    found = {}
    for key in DEPENDS_ON[view]:
        section, name = key.split(".")
        found[key] = getattr(getattr(config, section), name)
    return found
