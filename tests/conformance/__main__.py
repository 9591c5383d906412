"""Write the golden files again: python -m tests.conformance [--figures]

With --figures, the tables of docs/conformance.md that stand between markers are written too, from
comparisons with the external corpus; where that is absent they are kept.
"""

import argparse
import sys

from tests.conformance import golden


def main() -> int:
    """Parse, write, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--figures", action="store_true", help="tables of docs/conformance.md too")
    arguments = parser.parse_args()
    told = golden.write()
    if arguments.figures:
        from tests.conformance import figures

        told += figures.write()
    sys.stdout.write(("\n".join(told) or "nothing has changed") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
