"""One input of a target, as it is run, saved and made smaller."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any


class Finding(Exception):
    """A promise that an input breaks; the first line says which."""


@dataclass(frozen=True)
class Case:
    """Frames (decode) or files (readers, house), and how they are to be taken in."""

    what: str
    parts: tuple[bytes, ...]
    #: Of each part: link_type, wire_bytes, vlan_tci of a frame; nothing of a file.
    about: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    seed: str = ""  # what it was made from: run, target, number

    def without(self, lo: int, hi: int) -> "Case":
        """Fewer parts."""
        return replace(
            self, parts=self.parts[:lo] + self.parts[hi:], about=self.about[:lo] + self.about[hi:]
        )

    def with_part(self, k: int, part: bytes) -> "Case":
        """Another part."""
        return replace(self, parts=(*self.parts[:k], part, *self.parts[k + 1 :]))

    def to_json(self) -> str:
        """As it is saved."""
        return json.dumps(asdict(self) | {"parts": [part.hex() for part in self.parts]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Case":
        """As it was saved; what a report has added is passed over."""
        saved = json.loads(text)
        return cls(
            saved["what"],
            tuple(bytes.fromhex(part) for part in saved["parts"]),
            tuple(saved["about"]),
            saved["options"],
            saved["seed"],
        )

    def save(self, folder: Path, kind: str, text: str) -> Path:
        """Write it under a name made of its content."""
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()[:12]
        path = folder / f"{self.what}-{kind}-{digest}.json"
        path.write_text(json.dumps({"found": text} | json.loads(self.to_json()), indent=1) + "\n")
        return path
