"""The report of a run as one HTML file that needs nothing else: no network, no scripts.

page          the order of things
tables        tables as HTML
plain_words   the audit in sentences
plots         errors, rankings, calibration, training
pictures      the latent space
points        what the plots show, as arrays
canvas        a figure as SVG
style         colours, light, dark and on paper
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tapwatch.errors import SinkError
from tapwatch.evaluation.results import Results

FILE: Final = "report.html"


def write(results: Results, folder: Path, note: Callable[[str], None] = lambda _: None) -> None:
    """Write DIR/report.html, the folder made where it is absent.

    Parameters
    ----------
    results : Results
        Of a run, with its outcomes. The same results give the same bytes.
    folder : Path
    note : callable
        Told how far it is.

    Raises
    ------
    SinkError
        It cannot be written.
    """
    from tapwatch.evaluation.report.page import as_html

    note(f"writing {FILE}")
    path = folder / FILE
    page = as_html(results, note)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SinkError(f"{path}: could not be written: {error.strerror}") from error
