"""What fuzzing starts from: the named corpus, and what the tests of the rooms make by hand."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import tests.capture
import tests.decode
from tests.capture import makers
from tests.decode.made import Frame

CORPUS = Path(__file__).parent / "corpus"
#: Link types that are read, their neighbours, and one that nobody reads.
LINK_TYPES = (
    *(1, 0, 6, 9, 10, 12, 14, 50, 51, 101, 104, 105, 107, 108, 109, 113, 117, 127, 129, 147, 192),
    *(204, 228, 229, 239, 276),
)


def _modules(package: ModuleType, prefix: str) -> list[ModuleType]:
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{n}") for n in names if prefix in n]


def _frames_in(value: Any) -> list[Frame]:
    values = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | tuple):
        return []
    return [found for found in values if isinstance(found, Frame)]


@cache
def frames() -> tuple[Frame, ...]:
    """All frames of the corpus and of the tests' tables, each once."""
    found = [
        frame
        for module in _modules(tests.decode, "made")
        for value in vars(module).values()
        for frame in _frames_in(value)
    ]
    from tests.fuzz.corpus_frames import FRAMES

    found += [entry.frame for entry in FRAMES]
    return tuple(dict.fromkeys(found))


@cache
def captures() -> tuple[bytes, ...]:
    """All files of the corpus, small captures in every format that the tests make."""
    made = [
        makers.pcap(makers.frames(6), order=order, nano=nano, cut=cut)
        for order in "<>"
        for nano in (False, True)
        for cut in (0, 5)
    ]
    made += [makers.pcapng(makers.frames(6), order=order, name="eth0") for order in "<>"]
    made += [makers.rich_pcapng(), makers.pcap(makers.frames(3), version=(2, 2), swapped=True)]
    made.append(_of_real_frames())
    made += [path.read_bytes() for path in sorted((CORPUS / "captures").iterdir())]
    return tuple(raw for raw in made if len(raw) > 24)


def _of_real_frames() -> bytes:
    """Frames that decode, as pcapng of many link types, a second apart."""
    order, out, numbers = "<", makers.section("<"), {}
    for i, frame in enumerate(frames()):
        if frame.link_type not in numbers:
            numbers[frame.link_type] = len(numbers)
            name = f"tap{len(numbers)}"
            out += makers.interface(order, link_type=frame.link_type, name=name, tsresol=9)
        which = numbers[frame.link_type]
        time_ns = (1_700_000_000 + i) * 10**9
        out += makers.enhanced(time_ns, frame.data, which=which, wire=frame.on_wire, flags=i % 3)
    return out


@cache
def frame_bytes() -> tuple[bytes, ...]:
    """The bytes of all frames."""
    return tuple(frame.data for frame in frames())


@cache
def _fields() -> dict[bytes, list[Any]]:
    from tests.fuzz.length_fields import FIELDS

    found: dict[bytes, list[Any]] = {}
    for field in FIELDS:
        found.setdefault(field.frame.data, []).append(field)
    return found


def fields_of(frame: Frame) -> list[Any]:
    """Length fields of a seed whose places are known."""
    return _fields().get(frame.data, [])
