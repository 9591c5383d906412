"""Write the corpus anew: python -m tests.fuzz.make_corpus

corpus/frames holds frames, corpus/captures whole files, corpus/outcomes.tsv what each must come to.
"""

from pathlib import Path

from tests.fuzz.corpus_captures import CAPTURES
from tests.fuzz.corpus_frames import FRAMES
from tests.fuzz.seeds import CORPUS

HEADER = ("file", "link_type", "wire_bytes", "tunnel_depth", "packets", "outcome")


def files() -> dict[str, bytes]:
    """Content of every file of the corpus, by path below it."""
    made = {f"frames/{entry.name}.bin": entry.frame.data for entry in FRAMES}
    made |= {f"captures/{entry.name}": entry.raw for entry in CAPTURES}
    made["outcomes.tsv"] = table().encode()
    return made


def table() -> str:
    """The outcomes, a line a file."""
    rows = [HEADER]
    for entry in FRAMES:
        frame, name = entry.frame, f"frames/{entry.name}.bin"
        numbers = (frame.link_type, frame.on_wire, entry.depth, 1)
        rows.append((name, *map(str, numbers), entry.outcome.lower()))
    for capture in CAPTURES:
        name = f"captures/{capture.name}"
        rows.append((name, "", "", "", str(capture.packets), capture.outcome))
    return "".join("\t".join(row) + "\n" for row in rows)


def write(folder: Path) -> None:
    """Write all files, and remove what does not belong to them."""
    made = files()
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        if str(path.relative_to(folder)) not in made:
            path.unlink()
    for name, content in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write(CORPUS)
