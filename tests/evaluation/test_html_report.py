"""The HTML report: one file, well-formed, that needs nothing else and shows what was measured."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise, product

import matplotlib as mpl
import numpy as np
import pytest

from tapwatch.config import Config
from tapwatch.detect.detector import Epoch
from tapwatch.errors import SinkError
from tapwatch.evaluation.picture_rows import picture_rows
from tapwatch.evaluation.protocol import (
    Contender,
    Context,
    Figure,
    Inputs,
    Needs,
    Protocol,
    Section,
    Statement,
    TextTable,
)
from tapwatch.evaluation.report import write
from tapwatch.evaluation.report.canvas import INK, as_svg
from tapwatch.evaluation.report.page import as_html
from tapwatch.evaluation.report.plots import draw_errors
from tapwatch.evaluation.report.points import (
    NOMINAL,
    curve,
    limits_of,
    plane_of,
    realised_rates,
    thinned,
)
from tapwatch.evaluation.results import Results
from tapwatch.evaluation.run import run
from tapwatch.evaluation.splits import train_on_normals
from tapwatch.evaluation.thresholds import conformal
from tests.evaluation import kdd_like

HOSTILE = "<img src=x onerror=alert(1)> & 'q' $\\frac{1}{0$"
HOSTILE_CLASS = '</svg><script src="https://evil.example/x.js">'
STATEMENT = Statement(
    *("Eighty of a hundred learn.", "Normal rows are normal.", "No contamination."),
    *("Scaled by logarithms.", "Five in a hundred.", "The area.", "Rows seen twice."),
)
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Heard:
    """Takes what it is told."""

    def note(self, text):
        pass

    def begin(self, what, of):
        pass

    def epoch(self, epoch):
        pass

    def done(self, outcome):
        pass


class Distance:
    """Distance from the mean of the training rows; learns in three epochs, and has codes."""

    power, has_codes = 1, True

    def __init__(self, split, seed, epoch):
        for number in (1, 2, 3):
            epoch(Epoch(number, 3, 1 / number, 1.5 / number, number == 3))
        self.middle = split.train.mean(axis=0) + seed

    def score(self, values):
        return (((values - self.middle) ** 2).sum(axis=1).astype(np.float64)) ** self.power

    def latent(self, values):
        return values[:, 4:8] if self.has_codes else None


class Backwards(Distance):
    """Usual is unusual: negative scores, no codes."""

    has_codes = False

    def score(self, values):
        return -super().score(values)


class Flat(Distance):
    """Tells nothing apart."""

    def score(self, values):
        return np.zeros(len(values))


def split_of(tables, seed):
    """Normal rows learn; one class has a name that is no good."""
    split = train_on_normals(tables.train, tables.test, seed)
    return replace(split, classes=np.where(split.classes == "probe", HOSTILE_CLASS, split.classes))


CONTENDERS = (
    Contender("plain", "distance", {"k": 3}, make=Distance),
    Contender(HOSTILE, "distance", make=Backwards),
    Contender("flat", "distance", make=Flat),
)


def own(canvas):
    """A figure of a protocol's own, with powers on its axes."""
    canvas.add_subplot().loglog([1e-4, 1], [1e-3, 1], color="black", label=HOSTILE)
    canvas.axes[0].legend()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of two sections, two seeds and three contenders."""
    folder = tmp_path_factory.mktemp("files")
    files = Inputs(
        train=(kdd_like.write(folder / "train", {"normal": 400, "neptune": 40}),),
        test=(kdd_like.write(folder / "test", {"normal": 120, "neptune": 40, "satan": 20}, 1),),
    )
    section = Section("official", STATEMENT, split_of, CONTENDERS, conformal(0.05))
    other = replace(
        section,
        name="another <one>",
        contenders=CONTENDERS[:1],
        threshold_sees="test labels",
        tables=lambda _: [
            TextTable("t", "A table <b>", ("a", "b"), ((HOSTILE, 0.25), ("x", None)))
        ],
        figures=lambda _: [Figure("f", "Caption <i>", own, "Title <u>")],
    )
    made = Protocol("made", "Made <up>", Needs(train="a", test="b"), (section, other), n_seeds=2)
    found = run(Context(made, files, (0, 1), (), Heard(), Config()))
    return replace(found, command="tapwatch evaluate made --train 'a<b'", facts={"a_fact": 7})


@pytest.fixture(scope="module")
def page(results):
    """The page as text."""
    return as_html(results)


class Looked(HTMLParser):
    """What a page is made of; complains where an element is not closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def figures(page):
    """Title -> text of each figure."""
    found = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    return {re.search(r"<b>(.*?)\.</b>", one)[1] + f" {k}": one for k, one in enumerate(found)}


def test_the_page_is_well_formed(page):
    """Every element is closed in its place, and no two have the same id."""
    looked = Looked(page)

    ids = [value for _, key, value in looked.attributes if key == "id"]
    assert len(ids) == len(set(ids)) > 50
    assert looked.tags.count("html") == looked.tags.count("body") == 1


def test_nothing_outside_is_referred_to(page):
    """References lead to parts of the page or hold what they show; there is no script."""
    looked = Looked(page)
    ids = {value for _, key, value in looked.attributes if key == "id"}

    for _, key, value in looked.attributes:
        if key in {"href", "src", "xlink:href"}:
            assert value.startswith("data:image/png;base64,") or value[1:] in ids, value[:60]
        for target in re.findall(r"url\((.*?)\)", value):
            assert target[1:] in ids
    assert not {"script", "link", "iframe", "img", "object"} & set(looked.tags)
    css = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in css
    assert "@import" not in css
    assert not any(key.startswith("on") for _, key, _ in looked.attributes)


def test_names_from_files_are_text_wherever_they_stand(page):
    """A contender and a class of hostile names are read as they are, and do nothing."""
    told = " ".join(Looked(page).text)

    assert told.count(HOSTILE) >= 6  # table, seeds, settings, audit, heads of plots, legends
    assert told.count(HOSTILE_CLASS) >= 2
    assert "another <one>" in told
    assert "Made <up>" in told


def test_the_page_says_what_was_measured(page, results):
    """Statement, command, data with digests, seeds, contenders, floors, audit, own tables."""
    told = " ".join(" ".join(Looked(page).text).split())

    for sentence in STATEMENT.__dataclass_fields__:
        assert getattr(STATEMENT, sentence) in told
    assert results.command in told
    assert all(file.sha256 in told for file in results.data)
    assert "seeds 0, 1" in told
    for section in results.sections:
        for row in (*section.rows, *section.floor):
            assert row.name in told
        for line in section.audit["warnings"]:
            assert line[1:] in told
    assert "is shown the labels of the test rows" in told
    assert "run the wrong way" in told
    assert ("A table <b>" in told, "Title <u>" in told, "a fact 7" in told) == (True, True, True)


def test_the_table_has_means_deviations_bold_and_marks(page, results):
    """Of contenders; floors stand below a line, without bold or mark."""
    [table] = re.findall(r"<table><thead><tr><th></th><th title.*?</table>", page, re.DOTALL)[:1]
    lines = re.findall(r"<tr.*?</tr>", table, re.DOTALL)[1:]
    section = results.sections[0]

    assert len(lines) == len(section.rows) + len(section.floor)
    for row, line in zip(section.rows, lines, strict=False):
        auc = row.merits["auc"]
        shown = f"{auc.mean:.3f}".replace("0.", ".", 1)
        deviation = f"{auc.sd:.3f}".replace("0.", ".", 1)
        assert f'>{shown}<span class="sd">±{deviation}</span>' in line
        assert ("below the floor" in line) is (not row.beats_floor)
    best = max(range(3), key=lambda k: section.rows[k].merits["auc"].mean)
    bold = ['<td class="best">' in line for line in lines]
    assert bold[best]
    assert not any(bold[3:])
    assert 'class="floor ruled"' in lines[3]
    assert not any("ruled" in line or "below" in line for line in lines[4:])


def test_there_is_every_figure_and_none_is_empty(page):
    """Errors, rankings, calibration, codes of each contender, training; and the protocol's own."""
    found = figures(page)
    names = [name.rsplit(" ", 1)[0] for name in found]

    for name in ("Errors and threshold", "Rankings", "Calibration", "Training"):
        assert names.count(name) == 2
    assert names.count("Latent space of plain") == 2
    assert "Title &lt;u&gt;" in names
    assert sum(name.startswith("Inputs of &lt;img") for name in names) == 1
    for name, figure in found.items():
        assert len(re.findall(r"<path", figure)) > 10, name
        assert re.search(r"<figcaption>.*\S.*</figcaption>", figure, re.DOTALL)
    errors = next(figure for name, figure in found.items() if name.startswith("Errors"))
    for contender in ("plain", "flat"):
        assert f">{contender}</text>" in errors
    for name, figure in found.items():
        if name.startswith(("Latent", "Inputs")):
            assert len(set(re.findall(r"data:image/png;base64,[^\"]*", figure))) >= 4, name
            for title in ("by error", "by verdict", "by truth"):
                assert f">{title}</text>" in figure


def test_ink_is_the_colour_of_the_page(page):
    """So that text and axes can be read on light and on dark ground."""
    assert INK not in page
    assert "#000000" not in page
    assert page.count("currentColor") > 100
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_same_results_give_the_same_bytes_and_leave_matplotlib_alone(results):
    """Whatever was set before."""
    few = replace(results, sections=results.sections[1:])
    first, before = as_html(few), dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 30.0, "axes.facecolor": "red", "xtick.major.size": 9.0}):
        assert as_html(few) == first

    assert dict(mpl.rcParams) == before


def test_ticks_of_logarithmic_axes_are_plain_numbers():
    """In figures of protocols too; no formula is left as it is written."""
    svg = as_svg(own, "k", "t")

    assert "mathdefault" not in svg
    assert ">0.001</text>" in svg
    assert "$\\frac{1}{0$" in svg  # of the legend


def test_figures_do_not_share_ids():
    """Each has its key in front of its own."""
    first, second = as_svg(own, "a", "t"), as_svg(own, "b", "t")

    ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (first, second)]
    assert ids[0] and ids[1] and not ids[0] & ids[1]  # noqa: PT018


def test_what_cannot_be_drawn_is_left_out(results):
    """No ranking of rows of one kind, no calibration without rows for it, no curve of no epoch."""
    section = results.sections[1]
    benign = replace(section.split, is_anomaly=np.zeros(len(section.split.test), np.bool_))
    audit = dict(section.audit) | {"normal_share_in_train": None, "row_number_auc": None}
    outcomes = tuple(
        replace(outcome, calibration_score=np.zeros(0), epochs=()) for outcome in section.outcomes
    )
    changed = replace(section, split=benign, audit=audit, outcomes=outcomes)

    names = [
        name.rsplit(" ", 1)[0] for name in figures(as_html(replace(results, sections=(changed,))))
    ]

    assert names == ["Errors and threshold", "Latent space of plain", "Title &lt;u&gt;"]


EXTREME = {
    "zero": (0.0, 0.0, 0.0),
    "equal": (5.0, 5.0, 5.0),
    "equal and negative": (-5.0, -5.0, -5.0),
    "far apart": (0.0, 1e-9, 1e12),
    "tiny": (1e-300, 2e-300, 0.0),
    "large": (-1e200, 1.0, 1e200),
}


@pytest.mark.parametrize("scores", EXTREME.values(), ids=EXTREME)
def test_errors_of_any_size_can_be_drawn(results, scores):
    """Bins rise, and every row is in one of them; thresholds may lie anywhere."""
    section = results.sections[1]
    n = len(section.split.test)
    outcome = replace(section.outcomes[0], score=np.resize(scores, n), threshold=min(scores))
    drawn = []

    def draw(canvas):
        draw_errors(replace(section, outcomes=(outcome,)), canvas)
        drawn.append(canvas)

    as_svg(draw, "k", "t")

    stairs = [patch for patch in drawn[0].axes[0].patches if patch.get_data().edges is not None]
    assert len(stairs) == 4
    for patch in stairs:
        assert (np.diff(patch.get_data().edges) > 0).all()
        assert patch.get_data().values.sum() == pytest.approx(1)


def test_a_protocol_without_sections_has_a_page(results, tmp_path):
    """Of its own tables and figures; writing is said, and the folder is made."""
    said = []
    bare = Results(
        results.protocol,
        (),
        (0,),
        tables=(TextTable("t", "T", ("a",), (("x",),)),),
        figures=(Figure("rates", "C", own),),
    )

    write(bare, tmp_path / "new", said.append)

    written = (tmp_path / "new" / "report.html").read_text()
    assert Looked(written).tags.count("svg") == 1
    assert "<b>rates.</b> C" in written
    assert said[0] == "writing report.html"


def test_a_folder_that_cannot_be_made_is_said(results, tmp_path):
    """With the path."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SinkError, match=r"report.html: could not be written"):
        write(replace(results, sections=()), tmp_path / "file")


# ---- what the plots show ----


def naive_curve(scores, is_anomaly):
    """A point for every threshold, the strictest first: by counting."""
    n_bad, points = sum(is_anomaly), [(0.0, 0.0, 1.0)]
    for threshold in sorted(set(scores), reverse=True):
        flagged = [bad for s, bad in zip(scores, is_anomaly, strict=True) if s >= threshold]
        hits = sum(flagged)
        rates = (len(flagged) - hits) / (len(scores) - n_bad), hits / n_bad
        points.append((*rates, hits / len(flagged)))
    return points


def test_curves_are_those_of_counting():
    """All labelled scores of up to four rows with ties."""
    for n in (2, 3, 4):
        for scores in product((0.0, 1.0, 2.0), repeat=n):
            for labels in product((False, True), repeat=n):
                found = curve(np.array(scores), np.array(labels))
                if len(set(labels)) < 2:
                    assert found is None
                    continue
                points = np.stack([found.fpr, found.tpr, found.precision], axis=1)
                assert points == pytest.approx(np.array(naive_curve(scores, labels)))


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_thinned_curve_keeps_its_ends_and_its_steps(logarithmic):
    """And is drawn near the whole one everywhere."""
    x = np.concatenate([[0.0], np.sort(np.random.default_rng(0).random(20_000)) ** 2, [1.0]])
    y = np.floor(10 * np.sqrt(x)) / 10

    few_x, few_y = thinned(x, y, logarithmic=logarithmic)

    assert len(few_x) <= 300
    assert (few_x[0], few_x[-1], few_y[0], few_y[-1]) == (x[0], x[-1], y[0], y[-1])
    assert (np.diff(few_x) >= 0).all()
    assert np.isin(few_x, x).all()
    steps = [b - a for a, b in pairwise(few_x) if a > 0]
    widest = max(b / a for a, b in pairwise(few_x[few_x > 0.001])) if logarithmic else max(steps)
    assert widest < (1.2 if logarithmic else 0.01)


def test_realised_rates_are_those_of_counting():
    """The k-th largest calibration score, k = floor(rate (n + 1)); what is too rare is left out."""
    rng = np.random.default_rng(1)
    calibration, benign = rng.normal(size=999), rng.normal(size=2000)

    nominal, realised = realised_rates(calibration, benign)

    assert nominal.tolist() == [rate for rate in NOMINAL if rate * 2000 >= 5]
    for rate, share in zip(nominal, realised, strict=True):
        k = math.floor(rate * 1000 + 1e-9)
        threshold = sorted(calibration.tolist(), reverse=True)[k - 1]
        assert share == sum(score > threshold for score in benign.tolist()) / 2000
    assert realised_rates(calibration[:5], benign)[0].tolist() == []
    assert realised_rates(np.zeros(0), benign)[0].tolist() == []


def test_a_plane_is_that_of_the_largest_variances():
    """A long and a short side are found, whatever is added; shares say how long they are."""
    rng = np.random.default_rng(2)
    long, short_side = rng.normal(size=500) * 5, rng.normal(size=500)
    codes = np.stack([np.zeros(500), short_side, long], axis=1) + 100

    plane = plane_of(codes)

    assert np.abs(np.corrcoef(plane.at[:, 0], long)[0, 1]) > 0.999
    assert np.abs(np.corrcoef(plane.at[:, 1], short_side)[0, 1]) > 0.999
    assert plane.at.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert plane.at.var(axis=0) / codes.var(axis=0).sum() == pytest.approx(plane.shares)
    assert sum(plane.shares) == pytest.approx(1)


def test_the_largest_loading_of_an_axis_is_positive():
    """Of both axes, whatever sign the solver gives them."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        codes = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4))

        loadings = np.linalg.pinv(codes - codes.mean(axis=0)) @ plane_of(codes).at

        assert (loadings.max(axis=0) > -loadings.min(axis=0)).all()


def test_planes_of_little_are_told():
    """One component alone, constant codes, a single row, NaN."""
    line = plane_of(np.arange(4.0)[:, None])
    assert line.at[:, 1].tolist() == [0, 0, 0, 0]
    assert line.shares == pytest.approx((1.0, 0.0))
    assert plane_of(np.ones((3, 2))).at.tolist() == [[0, 0]] * 3
    assert plane_of(np.ones((1, 2))) is None
    assert plane_of(np.full((3, 2), np.nan)) is None


def test_the_window_holds_all_but_the_outermost_rows():
    """Two far away do not squeeze a thousand."""
    at = np.random.default_rng(3).normal(size=(1000, 2))
    at[:2] = 1e6, -1e6

    low, high = limits_of(at)

    assert (high < 5).all()
    assert (low > -5).all()
    assert ((at >= low) & (at <= high)).all(axis=1).mean() > 0.98
    flat_low, flat_high = limits_of(np.zeros((3, 2)))
    assert (flat_low < flat_high).all()


def test_pictures_show_rare_classes():
    """As many rows as are wanted, none twice, all of a rare class; the same for the same seed."""
    classes = np.array(["normal"] * 9000 + ["dos"] * 900 + ["u2r"] * 7)

    chosen = picture_rows(classes, 1000)

    assert len(chosen) == len(np.unique(chosen)) == 1000
    assert (np.diff(chosen) > 0).all()
    assert (classes[chosen] == "u2r").sum() == 7
    assert (classes[chosen] == "dos").sum() >= 166
    assert (classes[chosen] == "normal").sum() > 600
    assert np.array_equal(chosen, picture_rows(classes, 1000))
    assert not np.array_equal(chosen, picture_rows(classes, 1000, seed=1))
    assert picture_rows(classes[:5], 10).tolist() == [0, 1, 2, 3, 4]
