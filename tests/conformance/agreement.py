"""What a comparison with another program came to: how much agrees, and why the rest does not."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from tapwatch.capture import open_captures
from tapwatch.config import Config
from tapwatch.decode import Decoder
from tapwatch.errors import TapwatchError
from tapwatch.flows import describe
from tapwatch.pipeline import Corridor, extract


@dataclass
class Agreement:
    """Counts of things compared, by what became of them; "equal" is one of the reasons."""

    program: str
    unit: str
    counts: Counter[str] = field(default_factory=Counter)
    #: Things that no class explains, in words; a test wants none.
    unexplained: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        """How many were compared."""
        return self.counts.total()

    @property
    def equal(self) -> int:
        """How many agree."""
        return self.counts["equal"]

    def as_table(self, reasons: dict[str, str]) -> str:
        """Markdown: what was found how often, and why."""
        lines = [f"| {self.unit} | n | |", "|---|---|---|"]
        lines.append(
            f"| equal | {self.equal:,} | {100 * self.equal / self.n:.2f} % of {self.n:,} |"
        )
        for name, count in self.counts.most_common():
            if name != "equal":
                lines.append(f"| {name} | {count:,} | {reasons[name]} |")
        return "\n".join(lines)


@dataclass(frozen=True)
class Flow:
    """A row of the flow table in words."""

    src: str
    dst: str
    src_port: int
    dst_port: int
    proto: int
    packets: tuple[int, int]
    wire_bytes: tuple[int, int]
    payload_bytes: tuple[int, int]
    first_ts_ns: int
    last_ts_ns: int
    community_id: str


def patient(tunnel_depth: int = 0) -> Config:
    """A configuration that keeps flows whole: other programs have other timeouts."""
    silence = dict.fromkeys(("idle_timeout_s", "udp_idle_timeout_s", "icmp_idle_timeout_s"), 3600.0)
    flows = silence | {"active_timeout_s": 86_400.0, "linger_s": 600.0}
    return Config.model_validate({"flows": flows, "decode": {"tunnel_depth": tunnel_depth}})


@cache
def flows_of(path: Path, config: Config) -> list[Flow]:
    """Flow rows of a capture; none where it is refused."""
    corridor = Corridor(config, ["flow"], dtype=np.float64)
    names = corridor.views["flow"].schema.names
    payload = [names.index(f"totlen_{way}_pkts") for way in ("fwd", "bwd")]
    found = []
    try:
        for batch, _ in extract(open_captures([str(path)]), corridor, "flow"):
            words, rows = describe(batch.rows), batch.rows
            for k, row in enumerate(rows):
                found.append(
                    Flow(
                        words.src[k],
                        words.dst[k],
                        int(row["src_port"]),
                        int(row["dst_port"]),
                        int(row["proto"]),
                        tuple(row["packets"].tolist()),
                        tuple(row["bytes"].tolist()),
                        tuple(int(batch.values[k, at]) for at in payload),
                        int(row["first_ts_ns"]),
                        int(row["last_ts_ns"]),
                        words.community_id[k],
                    )
                )
    except TapwatchError:
        return []
    return found


#: Statuses of frames that contradict themselves; frames without IP are not damaged.
_DAMAGED = ("ipv4_", "ipv6_", "tcp_", "udp_")


def is_damaged(path: Path) -> bool:
    """Whether some frames of a capture are refused for what their IP or transport headers say."""
    source, decoder = open_captures([str(path)]), Decoder()
    while (frames := source.read()) is not None:
        decoder.decode(frames)
    return any(n for status, n in decoder.counts.items() if status.startswith(_DAMAGED))
