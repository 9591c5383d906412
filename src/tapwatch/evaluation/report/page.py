"""The page itself: what was stated, what was read, what came of it, and how to read it."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import tapwatch
from tapwatch.evaluation.output import all_tables
from tapwatch.evaluation.protocol import DataFile, Figure, Statement
from tapwatch.evaluation.report import pictures, plots
from tapwatch.evaluation.report.canvas import as_svg
from tapwatch.evaluation.report.plain_words import sentences_of, warnings_of
from tapwatch.evaluation.report.points import LEAST_EXPECTED
from tapwatch.evaluation.report.style import CSS
from tapwatch.evaluation.report.tables import (
    MERITS,
    class_table,
    facts,
    merit_table,
    own_table,
    seed_table,
    table,
    text,
)
from tapwatch.evaluation.results import Results, SectionResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Note = Callable[[str], None]

_READING: Final = (
    "Mean ± standard deviation over the seeds. Bold: the highest mean among the contenders, which "
    "need not be beyond the deviations. Below the line: what scores of no learning reach on the "
    "same rows, with thresholds by the same rule; a contender that does not beat the best of them "
    "is marked."
)
_CLASSES: Final = (
    "Share of the rows of each class of anomalies that is flagged at the threshold, mean over the "
    "seeds; in brackets the rows of the class. The stronger the colour, the more is found."
)
_ERRORS: Final = (
    "Errors of the benign and of the anomalous test rows, each as shares of their own kind; both "
    "axes are logarithmic as far as errors are positive. What lies right of the dashed threshold "
    "is flagged: blue there is false alerts, orange left of it is missed. Thin lines are the "
    "thresholds of the other seeds. The less the two overlap, the better."
)
_RANKINGS: Final = (
    "Left: share found against share of false alerts, for every threshold; up and left is better, "
    "the dotted line is chance. Middle: the same with the false positive rate drawn "
    "logarithmically, for a monitor lives at its left edge. Right: precision against recall; the "
    "dotted line is the share of anomalies."
)
_CALIBRATION: Final = (
    "How often benign test rows exceed the threshold that held-out normal rows give for a rate. On "
    "the dotted line the budget is kept exactly, within the grey band to a factor of 1.5. "
    "Above it there are more alerts than were asked for. A point on the lower edge: none at all. "
    f"Rates that would show fewer than {LEAST_EXPECTED} rows are left out."
)
_TRAINING: Final = (
    "Loss of the training rows and of the rows held out to tell when to stop; the first seed is "
    "drawn strongly, the others faintly. The dot is the state that was kept. Validation that rises "
    "while training falls would be learning by heart."
)
_LATENT: Final = (
    "{what} of test rows on their first two principal components (with their shares of the "
    "variance), the first seed; rows beyond the window lie on its border. By error: yellow is "
    "unusual. By verdict: what the threshold makes of it. By truth: what it is. Where the last two "
    "agree, the detector is right; rare classes are drawn larger, and more often than they occur."
)


def as_html(results: Results, note: Note = lambda _: None) -> str:
    """The whole page.

    Parameters
    ----------
    results : Results
    note : callable
        Told how far it is.
    """
    return "\n".join(_page(results, note)) + "\n"


def _page(results: Results, note: Note) -> Iterator[str]:
    protocol = results.protocol
    title = f"{text(protocol.name)}: {text(protocol.title)}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>"
    yield f"<h1>{title}</h1>"
    seeds = ", ".join(map(str, results.seeds))
    yield f'<p class="soft">tapwatch {text(tapwatch.__version__)}; seeds {text(seeds)}</p>'
    if results.command:
        yield f"<pre>{text(results.command)}</pre>"
    if len(results.sections) > 1:
        links = (
            f'<a href="#s{k}">{text(section.section.name)}</a>'
            for k, section in enumerate(results.sections)
        )
        yield "<nav>Sections: " + " ".join(links) + "</nav>"
    if results.protocol.statement is not None:
        yield _stated(results.protocol.statement)
    yield from _data(results)
    for k, section in enumerate(results.sections):
        note(f"writing report.html: {section.section.name}, {len(section.rows)} contenders")
        yield from _section(results, section, k)
    yield from _own(results)
    yield "</body>\n</html>"


def _stated(statement: Statement) -> str:
    return facts({key: getattr(statement, key) for key in Statement.__dataclass_fields__})


def _size(file: DataFile) -> str:
    """How many rows, or what else is counted."""
    return f"{file.rows:,}" if file.unit == "rows" else f"{file.rows:,} {text(file.unit)}"


def _data(results: Results) -> Iterator[str]:
    if results.data:
        yield "<h3>Data</h3>"
        rows = [
            f"<tr><td>{text(file.name)}</td><td>{text(file.used_for)}</td><td>{_size(file)}</td>"
            f"<td>{text(_left_out(file.left_out))}</td>"
            f'<td class="hash">{text(file.sha256)}</td></tr>'
            for file in results.data
        ]
        yield table(["file", "for", "rows", "left out", "SHA-256"], rows, kind="words")
    if results.facts:
        yield "<h3>Facts</h3>\n" + facts(results.facts)


def _left_out(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in counts.items()) or "none"


def _section(results: Results, section: SectionResults, number: int) -> Iterator[str]:
    yield f'<h2 id="s{number}">{text(section.section.name)}</h2>'
    yield _stated(section.section.statement)
    if section.split.facts:
        yield facts(section.split.facts)
    yield f"<h3>Results</h3>\n<p>{text(_READING)}</p>"
    yield merit_table(section)
    yield "<details><summary>What the columns are</summary>" + facts(
        {heading: told for heading, told in MERITS.values()}
    )
    yield "</details>"
    if len(results.seeds) > 1:
        yield "<details><summary>Each seed</summary>"
        yield seed_table(section, results.seeds) + "</details>"
    yield "<details><summary>Settings of the contenders</summary>"
    yield facts(section.parameters) + "</details>"
    yield "<h3>What to know of the rows</h3>"
    if warnings := warnings_of(section):
        yield '<ul class="warnings">' + "".join(f"<li>{text(w)}</li>" for w in warnings) + "</ul>"
    yield "<ul>" + "".join(f"<li>{text(s)}</li>" for s in sentences_of(section.audit)) + "</ul>"
    if classes := class_table(section):
        yield f"<h3>Recall by class</h3>\n<p>{text(_CLASSES)}</p>\n{classes}"
    yield "<h3>Plots</h3>"
    yield from _plots(section, f"s{number}")
    if section.section.figures is not None:
        for k, figure in enumerate(section.section.figures(section)):
            yield _own_figure(figure, f"s{number}-own{k}")


def _plots(section: SectionResults, key: str) -> Iterator[str]:
    errors = partial(plots.draw_errors, section)
    yield _figure(errors, f"{key}-errors", "Errors and threshold", _ERRORS)
    truth = section.split.is_anomaly
    if truth.any() and not truth.all():
        yield _figure(partial(plots.draw_rankings, section), f"{key}-roc", "Rankings", _RANKINGS)
    if plots.has_calibration(section):
        calibration = partial(plots.draw_calibration, section)
        yield _figure(calibration, f"{key}-calibration", "Calibration", _CALIBRATION)
    yield from _latent(section, key)
    if plots.has_training(section):
        yield _figure(
            partial(plots.draw_training, section), f"{key}-training", "Training", _TRAINING
        )


def _latent(section: SectionResults, key: str) -> Iterator[str]:
    inputs = None
    outcomes = plots.first_outcomes(section)
    if any(outcome.latent is None for outcome in outcomes):
        inputs = pictures.inputs_of(section)
    for k, outcome in enumerate(outcomes):
        found = pictures.plane_and_rows(outcome, section, inputs)
        if found is None:
            continue
        drawn = partial(pictures.draw_latent, section, outcome, *found)
        has_codes = outcome.latent is not None
        what = "Codes" if has_codes else "It has no latent space: scaled inputs"

        title = f"{'Latent space' if has_codes else 'Inputs'} of {outcome.contender}"
        caption = _LATENT.format(what=what) if not k else f"{what} of test rows, as above."
        yield _figure(drawn, f"{key}-latent{k}", title, caption)


def _figure(draw: Callable[["Canvas"], None], key: str, title: str, caption: str) -> str:
    svg = as_svg(draw, key, title)
    return f"<figure>{svg}\n<figcaption><b>{text(title)}.</b> {text(caption)}</figcaption></figure>"


def _own(results: Results) -> Iterator[str]:
    """Tables and figures of the protocol's own."""
    tables = all_tables(results)
    if not tables and not results.figures:
        return
    yield "<h2>Tables and figures of its own</h2>"
    for own in tables:
        yield own_table(own)
    for k, figure in enumerate(results.figures):
        yield _own_figure(figure, f"own{k}")


def _own_figure(figure: Figure, key: str) -> str:
    return _figure(figure.draw, key, figure.title or figure.name, figure.caption)
