"""Faults in the kernels of detectors."""

from tests.mutants.fault import Fault

_HST = "detect/detectors/hst_kernel.py"
_FOREST = "detect/detectors/iforest_kernel.py"


def _hst(before: str, after: str) -> Fault:
    return Fault(_HST, before, after, ("tests/detect/test_hst.py",))


def _forest(before: str, after: str) -> Fault:
    return Fault(_FOREST, before, after, ("tests/detect/test_iforest.py",))


DETECT_FAULTS = (
    # Half-space trees: score, count
    _hst("error[i] = 1.0 - total / most", "error[i] = total / most"),
    _hst("if seen == window:", "if seen > window:"),
    _hst("mass[:] = coming", "mass[:] += coming"),
    # by what a column turns the way
    _hst(
        "if here < limit or node >= len(feature):\n            return total",
        "if node >= len(feature):\n            return total",
    ),
    _hst(
        "and turned_in[column] != t:\n                    turned_in",
        "and True:\n                    turned_in",
    ),
    _hst("value = usual[asked] if column_of[asked] == column else x[asked]", "value = x[asked]"),
    _hst("other = below + int(not goes_right)", "other = below + int(goes_right)"),
    _hst("gain[i, column] -= rest", "gain[i, column] -= 0.0"),
    _hst("gain[i] = np.nan", "gain[i] = 0.0"),
    # Isolation forest
    _forest(
        "return node\n\n\n@njit(nogil=True, cache=True)\ndef path_sums(",
        "return node + 0 * len(row) + 1\n\n\n@njit(nogil=True, cache=True)\ndef path_sums(",
    ),
    _forest(
        'if goes_left != (usual[asked] <= at["threshold"]) and turned_in[column] != t:',
        'if goes_left != (usual[asked] <= at["threshold"]):',
    ),
    _forest('other = at["right"] if goes_left else node + 1', "other = start[t] + 1"),
    _forest(
        "value = usual[asked] if column_of[asked] == column else row[asked]", "value = row[asked]"
    ),
    _forest(
        'gain[i, column] += nodes[other]["path"] - path',
        'gain[i, column] = nodes[other]["path"] - path',
    ),
)
