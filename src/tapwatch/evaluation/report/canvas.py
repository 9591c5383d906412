"""Figures as SVG inside of a page: the same figure, the same bytes; ink follows the page's colour.

Nothing of matplotlib's state outside is used or left changed, and no window is ever opened.
"""

import base64
import html
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tapwatch.alerts.console import printable

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Of text and axes: the colour of the page's text is put in its place.
INK: Final = "#010203"
BENIGN: Final = "#3b82c4"
ANOMALOUS: Final = "#d9541e"
#: Readable on light and on dark ground.
COLOURS: Final = (
    *(BENIGN, ANOMALOUS, "#2f9e6e", "#b58a12"),
    *("#9a5fd0", "#d6579b", "#14a3b8", "#85888f"),
)
STYLES: Final = ("-", "--", ":")
WIDTH_INCHES: Final = 11.0

_DPI: Final = 110  # of points, which are drawn as pixels
_THEME: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.labelcolor": INK,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
    "lines.linewidth": 1.5,
}
_NO_METADATA: Final = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_TAG: Final = re.compile(r"<[^>]*>")
_REFERENCE: Final = re.compile(r"""(\bid="|url\(#|href="#)""")
_DROPPED: Final = re.compile(r'\s(?:xmlns(?::\w+)?|width|height|version)="[^"]*"')
_BLACK: Final = re.compile(f"{INK}|#000000")
_SCALE: Final = 1.4  # pixels of the page by point of the figure
_PICTURE: Final = re.compile(r'(?<=data:image/png;base64,)[^"]*')
_PICTURE_COLOURS: Final = 64


def as_svg(draw: Callable[["Figure"], None], key: str, title: str) -> str:
    """Draw a figure and give it as an <svg> element.

    Parameters
    ----------
    draw : callable
        Draws on an empty figure, 11 inches wide, which it may give another size.
    key : str
        Made of letters, digits and hyphens; one of its own for every figure of a page.
    title : str
        Told to those who cannot see it; any text.
    """
    import matplotlib
    from cycler import cycler
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A glyph that the font does not have is the reader's browser's to find.
        warnings.simplefilter("ignore", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams["axes.prop_cycle"] = cycler(color=COLOURS)
        for setting, value in (_THEME | {"svg.hashsalt": key}).items():
            matplotlib.rcParams[setting] = value
        figure = Figure(figsize=(WIDTH_INCHES, 4.0), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        _write_out_powers(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", dpi=_DPI, metadata=_NO_METADATA)
    return _inline(out.getvalue(), key, title)


def _write_out_powers(figure: "Figure") -> None:
    """Ticks of logarithmic axes as plain numbers: formulae are not set, for names may have a $."""
    from matplotlib.ticker import LogFormatter, NullFormatter

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatter):
                axis.set_major_formatter(plain_number)
                axis.set_minor_formatter(NullFormatter())


def _inline(text: str, key: str, title: str) -> str:
    """An SVG file as an element among others: ids of its own, no size, no namespaces."""
    body = re.sub(r"<!--.*?-->|<style.*?</style>|<metadata.*?</metadata>", "", text, flags=re.S)
    body = body[body.index("<svg") :]
    head = _TAG.match(body)
    assert head is not None, "an SVG file begins with its root"
    rest = _PICTURE.sub(lambda data: _smaller(data[0]), body[head.end() :])
    label = html.escape(printable(title))
    root = _DROPPED.sub("", head[0])[:-1].replace("<svg", f'<svg role="img" aria-label="{label}"')
    width = float(re.findall(r'viewBox="\S+ \S+ (\S+)', root)[0])
    # Letters have the same size in all figures of a page.
    root += f' style="max-width:{_SCALE * width:.0f}px"'
    return root + ">" + _TAG.sub(lambda tag: _own(tag[0], key), rest).strip()


def _smaller(data: str) -> str:
    """A PNG in base64 with a palette: a quarter of the bytes, and nobody sees it."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    out = io.BytesIO()
    picture.quantize(_PICTURE_COLOURS, Image.Quantize.FASTOCTREE).save(out, "png", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def _own(tag: str, key: str) -> str:
    # What is encoded in base64 has neither quotes nor a number sign: pictures stay as they are.
    return _BLACK.sub("currentColor", _REFERENCE.sub(rf"\g<1>{key}-", tag))


def log_ticks(axis: "Axis", low: float, high: float) -> None:
    """Plain numbers at powers of ten, and between these where a logarithmic axis has few of them.

    Parameters
    ----------
    axis : matplotlib axis
    low, high : float
        What it shows.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    between = (1.0, 2.0, 5.0) if high < 40 * low else (1.0, 3.0) if high < 150 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=between, numticks=6))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(plain_number)


def short(text: str, most: int = 28) -> str:
    """A name for a legend: printable, on one line, cut where it is long."""
    text = printable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def plain_number(value: float, _place: Any = None) -> str:
    """A tick of a logarithmic axis: 0.001, 10, 1e+06."""
    return f"{value:g}"
