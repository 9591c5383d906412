"""All frames made by hand: one of each kind that decodes, and one for each status but OK."""

from tests.decode import made, made_link

GOOD = made.GOOD | made_link.GOOD
BAD = made.BAD | made_link.BAD
