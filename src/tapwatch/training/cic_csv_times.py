"""Time stamps of CIC CSVs: days first, a 12-hour clock that does not say which half of the day."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: The builds before the corrected one, and tables that a spreadsheet wrote again.
_DAY_FIRST: Final = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
_WITH_HALF: Final = ("%d/%m/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M %p")
#: How a format begins -> where the day stands.
_DAYS: Final = {"%d": r"^(?P<day>\d{1,2})/", "%Y": r"^\d{4}-\d\d-(?P<day>\d\d) "}
_HOUR_NS: Final = 3600 * 10**9
_DAY_HOURS: Final = 24
#: Both data sets were captured by day. An hour before this one is of the afternoon.
_FIRST_HOUR: Final = 8

#: What stands where a stamp cannot be read.
UNREADABLE: Final = int(np.iinfo(np.int64).min)
_MOST_SECONDS: Final = 9_000_000_000


def read_times(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read time stamps as UTC: in which zone the machine stood is not told.

    Parameters
    ----------
    texts : binary (n_rows,)

    Returns
    -------
    time_ns : int64 (n_rows,)
        Nanoseconds since the Unix epoch; the least int64 where a stamp cannot be read.
    is_moved : bool (n_rows,)
        Where twelve hours were added, because a 12-hour clock said 1 to 7.
    """
    distinct = pc.dictionary_encode(texts)
    words = pa.array(
        [word.decode("latin-1").strip() for word in distinct.dictionary.to_pylist()], pa.string()
    )
    words = pc.utf8_upper(words)
    out = np.full(len(words), UNREADABLE)
    moved = np.zeros(len(words), np.bool_)
    for form in _DAY_FIRST:
        times = _parsed(words, form)
        fresh = (times != UNREADABLE) & (out == UNREADABLE)
        hours = times // _HOUR_NS % _DAY_HOURS
        early = fresh & (hours < _FIRST_HOUR) & (hours > 0)
        out[fresh] = times[fresh]
        out[early] += 12 * _HOUR_NS
        moved |= early
    for form in _WITH_HALF:
        times = _parsed(words, form)
        out = np.where(out == UNREADABLE, times, out)
    out = np.where(out == UNREADABLE, _iso(words), out)
    indices = distinct.indices.to_numpy(zero_copy_only=False)
    return out[indices], moved[indices]


def _parsed(words: pa.Array, form: str) -> NDArray[np.int64]:
    times = pc.strptime(words, format=form, unit="s", error_is_null=True)
    # The 31st of February is read as the 3rd of March.
    days = pc.struct_field(pc.extract_regex(words, _DAYS[form[:2]]), "day")
    is_same = pc.equal(pc.day(times), days.cast(pa.int64()))
    return _as_ns(pc.if_else(is_same, times, None))


def _iso(words: pa.Array) -> NDArray[np.int64]:
    """The corrected tool's: 2017-07-07 11:59:50.315195."""
    looks_right = pc.match_substring_regex(words, r"^\d{4}-\d\d-\d\d[ T][\d:]{8}(\.\d{1,6})?$")
    words = pc.if_else(looks_right, words, pa.scalar("", pa.string()))
    seconds = pc.replace_substring(pc.utf8_slice_codeunits(words, 0, 19), "T", " ")
    whole = _parsed(seconds, "%Y-%m-%d %H:%M:%S")
    fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(words, 20, 26), 6, "0")
    parts_ns = fraction.cast(pa.int64()).to_numpy(zero_copy_only=False) * 1000
    return np.where(whole == UNREADABLE, UNREADABLE, whole + parts_ns)


def _as_ns(times: pa.Array) -> NDArray[np.int64]:
    whole = times.cast(pa.int64())
    seconds = whole.fill_null(0).to_numpy(zero_copy_only=False)
    # Bounds: four digits of a year may leave 64 bits of nanoseconds.
    readable = whole.is_valid().to_numpy(zero_copy_only=False) & (np.abs(seconds) < _MOST_SECONDS)
    return np.where(readable, np.where(readable, seconds, 0) * 10**9, UNREADABLE)
