"""Where each section of each protocol draws the line, on scores whose quantiles are known."""

import numpy as np
import pytest

from tapwatch.evaluation.protocol import Evidence, Tables
from tapwatch.evaluation.protocols import (
    NAMES,
    dagmm,
    goad,
    kdd99_official,
    memstream,
    nsl_kdd,
    own,
    seed_000,
    seed_001,
    seed_002,
    seed_003,
    seed_004,
)
from tapwatch.evaluation.trials import threshold_of
from tests.evaluation.test_published_protocols import kdd

#: Scores 0 to 999; those of each purpose on a scale of their own, so that none stands for another.
RISING = np.arange(1000.0)
TRAIN, CALIBRATION, TEST = RISING, RISING + 10_000, RISING + 20_000
IS_ANOMALY = RISING >= 700


def official(protocol):
    """Sections with a test file and without one."""
    table = kdd().train
    return (*protocol.choose(Tables(table, table)), *protocol.choose(Tables(table)))


SECTIONS = {
    "seed-000": seed_000.PROTOCOL.sections,
    "seed-001": seed_001.PROTOCOL.sections,
    "seed-002": seed_002.SECTIONS,
    "seed-003": seed_003.PROTOCOL.sections,
    "seed-004": (seed_004.MAIN,),
    "dagmm": dagmm.PROTOCOL.sections,
    "goad": goad.PROTOCOL.sections,
    "memstream": memstream.PROTOCOL.sections,
    "nsl-kdd": official(nsl_kdd.PROTOCOL),
    "kdd99-official": official(kdd99_official.PROTOCOL),
    "own": (own.ONE_FILE, own.TWO_FILES),
}
#: The k-th largest of 1,000 with k = floor(share * 1001): 10 and 50 for shares of .01 and .05.
ONE_IN_100 = 10_990.0
FIVE_IN_100 = 10_950.0
#: Linear between order statistics, of which the first is 0: q * 999.
EXPECTED = {
    "seed-000": {"literal": 1.5 * 0.99 * 999, "corrected": 1.5 * 0.99 * 999},
    "seed-001": {"literal": 10_000 + 0.95 * 999, "apart": 10_000 + 0.95 * 999},
    "seed-002": {
        "headers and times": ONE_IN_100,
        "headers and times, 5 %": FIVE_IN_100,
        "calibrated in order of time": ONE_IN_100,
        "without sequence numbers": ONE_IN_100,
        "other analysis kept": ONE_IN_100,
    },
    "seed-003": {"main": 0.99 * 999},
    "seed-004": {"main": 0.0},
    "dagmm": {"main": 20_000 + 0.8 * 999},
    "goad": {"kdd": 20_000 + 0.7 * 999, "kdd-rev": 20_000 + 0.7 * 999},
    "memstream": {
        "published": 20_000 + 0.8 * 999,
        "by time": 20_000 + 0.8 * 999,
        "adapting": ONE_IN_100,
    },
    "nsl-kdd": {"official": ONE_IN_100, "validation": ONE_IN_100},
    "kdd99-official": {"official": ONE_IN_100, "validation": ONE_IN_100},
    "own": {"one file": ONE_IN_100, "two files": ONE_IN_100},
}
#: Sections whose rule is shown something of the test.
SEEING = {
    **dict.fromkeys(("dagmm/main", "memstream/published", "memstream/by time"), "test scores"),
    **dict.fromkeys(("goad/kdd", "goad/kdd-rev"), "test labels"),
}


def test_every_protocol_of_labelled_rows_is_in_the_table():
    """The others draw their lines by rules that have tests of their own."""
    assert set(NAMES) - set(SECTIONS) == {"capture", "calibration"}
    for name, sections in SECTIONS.items():
        assert [section.name for section in sections] == list(EXPECTED[name])


@pytest.mark.parametrize(
    ("name", "section"),
    [(name, section) for name, sections in SECTIONS.items() for section in sections],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_sections_draw_the_line_where_they_say(name, section):
    """The rule is shown of the test what the section says, most often nothing."""
    sees = SEEING.get(f"{name}/{section.name}", "nothing")
    evidence = Evidence(
        TRAIN,
        CALIBRATION,
        TEST if sees != "nothing" else None,
        IS_ANOMALY if sees == "test labels" else None,
        seed=0,
    )

    assert section.threshold_sees == sees
    assert section.threshold(evidence) == pytest.approx(EXPECTED[name][section.name], rel=1e-12)


def test_floors_have_a_rule_of_their_own_only_where_contenders_have_no_scale():
    """Of seed 004: the share that the isolation forest is told."""
    evidence = Evidence(TRAIN, CALIBRATION, None, None, seed=0)
    own_rules = {
        name: section.floor_threshold(evidence)
        for name, sections in SECTIONS.items()
        for section in sections
        if section.floor_threshold is not None
    }

    assert own_rules == {"seed-004": pytest.approx(0.99 * 999)}


def test_in_captures_the_line_is_a_quarter_beyond_the_largest():
    """Whatever the other rows are."""
    assert threshold_of(RISING) == 1248.75
