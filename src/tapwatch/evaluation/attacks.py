"""Attack types of KDD'99 and NSL-KDD, and the four classes that the task put them in.

The training files have 22 types, the test files more. The classes are those of the task's own
scoring table (KDD Cup 1999, results page); what is not known here is "other", and counted.
"""

from typing import Any, Final

import numpy as np

from tapwatch.evaluation.protocol import Words

NORMAL: Final = "normal"
OTHER: Final = "other"

#: Class -> its types; those below the line of each are in the test files alone.
TYPES: Final[dict[str, tuple[str, ...]]] = {
    "dos": (
        *("back", "land", "neptune", "pod", "smurf", "teardrop"),
        *("apache2", "mailbomb", "processtable", "udpstorm"),
    ),
    "probe": (
        *("ipsweep", "nmap", "portsweep", "satan"),
        *("mscan", "saint"),
    ),
    "r2l": (
        *("ftp_write", "guess_passwd", "imap", "multihop"),
        *("phf", "spy", "warezclient", "warezmaster"),
        *("named", "sendmail", "snmpgetattack", "snmpguess", "worm", "xlock", "xsnoop"),
    ),
    "u2r": (
        *("buffer_overflow", "loadmodule", "perl", "rootkit"),
        *("httptunnel", "ps", "sqlattack", "xterm"),
    ),
}
CLASS_OF: Final[dict[str, str]] = {NORMAL: NORMAL} | {
    kind: name for name, kinds in TYPES.items() for kind in kinds
}


def classes_of(labels: Words) -> tuple[Words, dict[str, int]]:
    """Class of each label, and how many rows have a label that is none of the types, by label."""
    words, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    classes = np.array([CLASS_OF.get(plain_label(word), OTHER) for word in words.tolist()], np.str_)
    unknown = {
        str(word): int(n)
        for word, name, n in zip(words, classes, counts, strict=True)
        if name == OTHER
    }
    return classes[place], unknown


def novel_types(test: Words, train: Words) -> Any:
    """Which test rows are of a type that the training files do not have, bool (n_test,)."""
    known = {plain_label(word) for word in np.unique(train).tolist()} | {NORMAL}
    words, place = np.unique(test, return_inverse=True)
    return np.array([plain_label(word) not in known for word in words.tolist()], np.bool_)[place]


def plain_label(label: str) -> str:
    """A label without spaces, KDD'99's dot and the case of its letters."""
    return label.strip().removesuffix(".").casefold()
