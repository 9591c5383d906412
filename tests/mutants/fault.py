"""One small fault that could be in the code, and where the tests that must notice it are."""

from dataclasses import dataclass
from pathlib import Path

SOURCES = Path("src/tapwatch")


@dataclass(frozen=True, slots=True)
class Fault:
    """`before` stands once in the file; with `after` in its place, a test has to fail."""

    file: str  # below src/tapwatch
    before: str
    after: str
    tests: tuple[str, ...] = ()  # by default those of the file's room
    jit: bool = False  # compile: where the tests are too slow or other without

    @property
    def name(self) -> str:
        """File and what was changed, on one line."""
        return f"{self.file}: {_line(self.before)} -> {_line(self.after)}"

    @property
    def paths(self) -> tuple[str, ...]:
        """What pytest is given."""
        return self.tests or (f"tests/{self.file.split('/')[0]}",)

    def planted(self, text: str) -> str:
        """Text of the file with the fault in it.

        Raises
        ------
        ValueError
            What is to be replaced does not stand there exactly once.
        """
        if (found := text.count(self.before)) != 1:
            raise ValueError(f"{self.name}: stands there {found} times: want 1")
        return text.replace(self.before, self.after)


def _line(text: str) -> str:
    return " ".join(text.split())
