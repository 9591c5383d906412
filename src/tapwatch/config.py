"""One TOML file -> one frozen model a room. All errors of a file are reported at once.

Every knob carries its unit in its name, its default with the reason, and its limits.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tapwatch.errors import ConfigError

#: Rows of one unit of the watch for drift.
LEAST_RECALIBRATE_ROWS: Final = 256


class Section(BaseModel):
    """A table of the file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class CaptureConfig(Section):
    """[capture]: how frames are taken in."""

    batch_frames: Annotated[int, Field(ge=1, le=1 << 20)] = 8192
    """Frames handed on at once; about 8,192 stay in the processor's cache."""
    ring_blocks: Annotated[int, Field(ge=2, le=4096)] = 512
    """Blocks of a live tap's ring, which the kernel fills while the program is busy elsewhere. The
    ring holds the smaller of ring_blocks * ring_timeout_ms, however little comes (512 * 10 ms =
    5.1 s), and ring_blocks * ring_block_bytes / rate (64 MiB hold 2 s at 250 Mbit/s)."""
    ring_block_bytes: Annotated[int, Field(ge=65_536, le=1 << 24, multiple_of=65_536)] = 131_072
    """Size of a block, headers included; a frame that is longer is cut to it. 128 KiB hold a
    segment of 64 KiB, which offloads put together, whole."""
    ring_timeout_ms: Annotated[int, Field(ge=1, le=1000)] = 10
    """A block that is not full is handed over after this long: a packet may wait for it, and on a
    quiet wire each block of the ring holds no more than this."""


class DecodeConfig(Section):
    """[decode]: how far into a frame is looked."""

    tunnel_depth: Annotated[int, Field(ge=0, le=8)] = 0
    """Tunnels that are opened, one in another; 0 leaves every tunnel one flow by its outer
    header."""


class FlowConfig(Section):
    """[flows]: when a flow ends, and how many are held at once."""

    idle_timeout_s: Annotated[float, Field(ge=0.001, le=3600)] = 60.0
    """Silence that ends a TCP flow, or one of a protocol not named below."""
    udp_idle_timeout_s: Annotated[float, Field(ge=0.001, le=3600)] = 30.0
    """Silence that ends a UDP flow; Suricata's order of magnitude."""
    icmp_idle_timeout_s: Annotated[float, Field(ge=0.001, le=3600)] = 10.0
    """Silence that ends an ICMP or ICMPv6 flow."""
    active_timeout_s: Annotated[float, Field(ge=0.001, le=86_400)] = 120.0
    """A flow that is never silent is cut and reported this often; 120 s is CICFlowMeter's cut."""
    linger_s: Annotated[float, Field(ge=0.001, le=600)] = 5.0
    """Silence after FIN or RST that ends the flow: late ACKs belong to it (Zeek's close delay)."""
    capacity: Annotated[int, Field(ge=1024, le=1 << 24)] = 262_144
    """Flows held in the process, an equal part in each of 64 buckets; the oldest is evicted."""
    fragment_capacity: Annotated[int, Field(ge=64, le=1 << 20)] = 4096
    """Datagrams whose first fragment is remembered, so that later ones find their flow."""
    hash_seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Seed of the flow hash: fixed for replays; a tap that is attacked wants a random one."""

    @model_validator(mode="after")
    def _cut_after_silence(self) -> Self:
        errors = []
        for key in ("idle_timeout_s", "udp_idle_timeout_s", "icmp_idle_timeout_s", "linger_s"):
            silence = getattr(self, key)
            if self.active_timeout_s <= silence:
                errors.append(
                    f"flows.active_timeout_s = {self.active_timeout_s}: want more than "
                    f"flows.{key}, which is {silence} "
                    "(else every flow is cut before silence can end it)"
                )
        if errors:
            raise ValueError("\n".join(errors))
        return self


class ConversationsConfig(Section):
    """[conversations]: TCP analysis as Wireshark has it, for the views that ask for it."""

    capacity: Annotated[int, Field(ge=64, le=1 << 24)] = 524_288
    """TCP conversations remembered in the process, an equal part in each of 64 buckets, 144 bytes
    each once used and 16 beside; the one that was silent longest is forgotten. They outlive flows:
    Wireshark never forgets, and a keep-alive may come long after the segment before it."""


class PacketConfig(Section):
    """[packet]: what the packet view remembers."""

    pair_capacity: Annotated[int, Field(ge=64, le=1 << 22)] = 65_536
    """Pairs of addresses whose last frames are remembered, 64 bytes each, rounded down to a power
    of two; the one that was silent longest of those in its place is forgotten."""


class LabelsConfig(Section):
    """[labels]: what the protocol label of a packet may remember."""

    conversations: Annotated[int, Field(ge=1024, le=1 << 22)] = 131_072
    """Conversations whose protocol is remembered, 48 bytes each; the one that was silent longest of
    those in its place is forgotten. Wireshark forgets none."""


class KddConfig(Section):
    """[kdd]: how far back the windows of the kdd view reach, and how much payload it reads."""

    host_window: Annotated[int, Field(ge=1, le=256)] = 256
    """Connections to a host that its history holds: 256 is what the published files show, 100 what
    their description says."""
    diff_rates: Literal["distinct", "share"] = "distinct"
    """What rates of different services and hosts are. The published files hold numbers of distinct
    ones by the number of connections; "share" gives the description's share of other ones."""
    hosts: Annotated[int, Field(ge=16, le=1 << 18)] = 8192
    """Hosts whose history is held, 3.5 KB each; the one that was quiet longest is forgotten."""
    window_connections: Annotated[int, Field(ge=16, le=1 << 22)] = 65_536
    """Connections that the two-second window holds, 150 bytes each: 32,768 a second. One more, and
    the oldest leaves early."""
    content_connections: Annotated[int, Field(ge=16, le=1 << 20)] = 16_384
    """Sessions in clear text that are read at once, 750 bytes each; the one that was silent longest
    is given up."""
    content_bytes: Annotated[int, Field(ge=1024, le=1 << 24)] = 65_536
    """Bytes of each side of a session that are read; bodies of HTTP do not count."""


class WindowsConfig(Section):
    """[windows]: how long the windows of the host view are, and what it remembers."""

    host_s: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    """Length of a window. Counts have 32 bits, which ten minutes of 7 million packets a second and
    host do not fill."""
    hop_s: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    """Time between the ends of two windows; host_s is a whole multiple of it, at most 12."""
    hosts: Annotated[int, Field(ge=64, le=1 << 20)] = 65_536
    """Hosts held at once, 1.5 KB each, an equal part for each hop of a window. Where more are seen,
    one that was silent lately gives its row before the window ends."""
    pairs: Annotated[int, Field(ge=64, le=1 << 24)] = 262_144
    """Pairs of hosts remembered, 16 bytes each, so that a peer is known that was met before."""
    channels: Annotated[int, Field(ge=64, le=1 << 22)] = 65_536
    """Services of one host used by another, 64 bytes each, whose last connections are remembered to
    tell how regular they are."""
    horizon_s: Annotated[float, Field(ge=1, le=604_800)] = 3600.0
    """Silence after which a pair or a channel is forgotten."""

    @model_validator(mode="after")
    def _whole_hops(self) -> Self:
        host_ns, hop_ns = round(self.host_s * 1e9), round(self.hop_s * 1e9)
        if host_ns % hop_ns or not 1 <= host_ns // hop_ns <= 12:
            raise ValueError(
                f"windows.host_s = {self.host_s}: want 1 to 12 times windows.hop_s, which is "
                f"{self.hop_s} (a window is put together from whole hops)"
            )
        return self


class AfterimageConfig(Section):
    """[afterimage]: how many streams the views afterimage and afterimage_115 remember, each for
    itself. Of eight that share a place the one that was met longest ago is forgotten."""

    mi_capacity: Annotated[int, Field(ge=8, le=1 << 22, multiple_of=8)] = 65_536
    """Senders as station and address, 184 bytes each: 12 MB."""
    h_capacity: Annotated[int, Field(ge=8, le=1 << 22, multiple_of=8)] = 65_536
    """Senders as address, 184 bytes each: 12 MB; only afterimage_115 has them."""
    hh_capacity: Annotated[int, Field(ge=8, le=1 << 22, multiple_of=8)] = 65_536
    """Pairs of addresses, both ways at once, 664 bytes each: 44 MB."""
    hphp_capacity: Annotated[int, Field(ge=8, le=1 << 22, multiple_of=8)] = 131_072
    """Pairs of an address and a port, both ways at once, 504 bytes each: 66 MB."""


class SequencesConfig(Section):
    """[sequences]: what is remembered for models that read the last rows of an entity."""

    rows: Annotated[int, Field(ge=4096, le=1 << 24)] = 262_144
    """Rows remembered, an equal number of each entity; 100 columns take 105 MB, in a file 210 MB.
    The entity that was silent longest of those in its place is forgotten."""


class DetectConfig(Section):
    """[detect]: how rows are scored."""

    max_rows: Annotated[int, Field(ge=1, le=1 << 20)] = 1024
    """Rows scored at once; 1024 fit the second-level cache, 4096 and more are slower."""
    max_wait_ms: Annotated[int, Field(ge=1, le=60_000)] = 50
    """On a live tap, rows wait no longer than this for their batch to fill."""
    drift: Literal["off", "watch", "recalibrate", "dspot"] = "watch"
    """What is done about errors that drift away from those of the calibration. "watch": an event
    and a metric. "recalibrate": besides, the threshold is found again from the rows that follow.
    "dspot": besides, the threshold keeps its height over the mean of the last rows."""
    drift_delta: Annotated[float, Field(gt=0, le=0.5)] = 0.002
    """Chance of a false alarm that the watch for drift (ADWIN) allows."""
    recalibrate_rows: Annotated[int, Field(ge=0, le=1 << 22)] = 0
    """Rows that calibrate a threshold again, 256 or more, and no fewer than hold one that may be
    flagged; 0: ten for each that may be flagged, at least 8,192 and at most 262,144."""
    recalibrate_factor: Annotated[float, Field(ge=1, le=100)] = 4.0
    """However often it moves, a threshold stays within that of the bundle times and divided by
    this; for more, train again. "recalibrate" may stay below, see the how-to."""
    learn: bool = True
    """Whether online detectors go on learning from rows that are not flagged; what they learn ends
    with the run. `--freeze` sets it to false."""

    @model_validator(mode="after")
    def _rows_that_say_something(self) -> Self:
        if 0 < self.recalibrate_rows < LEAST_RECALIBRATE_ROWS:
            raise ValueError(
                f"detect.recalibrate_rows = {self.recalibrate_rows}: want 0, or "
                f"{LEAST_RECALIBRATE_ROWS} or more (rows are taken in units of "
                f"{LEAST_RECALIBRATE_ROWS}, and of fewer no quantile can be told)"
            )
        return self


class AlertsConfig(Section):
    """[alerts]: what is told, and how often."""

    hold_down_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """After an alert, further ones of the same entity and reason are folded for this long."""
    rate_limit_per_min: Annotated[int, Field(ge=1, le=1_000_000)] = 120
    """Alerts written in a minute of packet time; what exceeds it is counted."""
    entities: Annotated[int, Field(ge=64, le=1 << 22)] = 65_536
    """(entity, reason) pairs remembered for the hold-down; the oldest is forgotten."""


class TelemetryConfig(Section):
    """[telemetry]: how metrics are served."""

    listen: str = "127.0.0.1:9477"
    """ADDRESS:PORT on which `tapwatch run` serves metrics; `--listen` goes before it."""
    request_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """A client that is silent for this long is hung up on."""
    max_connections: Annotated[int, Field(ge=1, le=1024)] = 32
    """Connections served at once; one more is closed at once and counted."""


class Config(Section):
    """The whole file; every section may be left out."""

    capture: CaptureConfig = CaptureConfig()
    decode: DecodeConfig = DecodeConfig()
    flows: FlowConfig = FlowConfig()
    conversations: ConversationsConfig = ConversationsConfig()
    packet: PacketConfig = PacketConfig()
    labels: LabelsConfig = LabelsConfig()
    kdd: KddConfig = KddConfig()
    windows: WindowsConfig = WindowsConfig()
    afterimage: AfterimageConfig = AfterimageConfig()
    sequences: SequencesConfig = SequencesConfig()
    detect: DetectConfig = DetectConfig()
    alerts: AlertsConfig = AlertsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()


class ConfigFileError(ConfigError):
    """Every error of one file, a line each."""

    def __init__(self, lines: list[str]) -> None:
        Exception.__init__(self, "\n".join(lines))
        self.key = ""
        self.lines = lines


def load_config(path: Path) -> Config:
    """Read and check one TOML file.

    Raises
    ------
    ConfigFileError
        The file cannot be read or parsed, or values are refused: one line for each of them.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError([f"{path}: cannot be read: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigFileError([f"{path}: not TOML: {error}"]) from error
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        lines = [line for e in error.errors() for line in _lines(e)]
        raise ConfigFileError([f"{path}: {line}" for line in lines]) from error


def _lines(error: Any) -> list[str]:
    # A validator of ours that compares two knobs has written whole lines itself.
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]).splitlines()
    return [_line(error)]


def _line(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: want a key of the reference page (no such key)"
    if error["type"] == "model_type":
        return f"{key} = {error['input']!r}: want a table, [{key}]"
    want = error["msg"].removeprefix("Input should be ")
    return f"{key} = {error['input']!r}: want {want}"
