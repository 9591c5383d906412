"""Texts that people write for the program, spoilt where it hurts: JSON, TOML, tables of commas."""

import json
from random import Random
from typing import Any

from tapwatch.config import Config

_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", "\0", "\ud800", "a" * 5000, "../../etc", "٣", "-", "*"),
    *([], {}, [[]], [None], {"": None}, "1", "2026-13-45T99:99:99.000000+0000", "ff:" * 9),
)
_TOML = (
    *("0", "-1", "1e400", "nan", "inf", "-inf", "9223372036854775808", '""', "[]", "{}", "true"),
    *('"\\u0000"', "1979-05-27", "[[1]]", "0x7fffffffffffffff", "1.5", "8", "60", "'127.0.0.1:1'"),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


def spoil_json(random: Random, raw: bytes) -> bytes:
    """One value of the document replaced, taken out, or nested deep; the text where it is none."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        at = random.randrange(len(raw) + 1)
        return raw[:at] + random.choice((b"{", b"[" * 5000, b'"', b"\xff", b"0" * 5000)) + raw[at:]
    path = random.choice(_places(document))
    if not path:
        return json.dumps(random.choice(_VALUES)).encode()
    around = document
    for key in path[:-1]:
        around = around[key]
    if random.random() < 0.2:
        del around[path[-1]]
    else:
        around[path[-1]] = random.choice(_VALUES)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def spoil_toml(random: Random, _raw: bytes) -> bytes:
    """Some sections with some keys, and values that are right, wrong, or of another kind."""
    lines = []
    for section, field in Config.model_fields.items():
        keys = sorted(getattr(field.annotation, "model_fields", ()))
        if random.random() < 3 / len(Config.model_fields) and keys:
            lines.append(random.choice((f"[{section}]", f"[{section}]", f"[[{section}]]")))
            for key in random.sample(keys, random.randint(0, min(4, len(keys)))):
                lines.append(f"{key} = {random.choice(_TOML)}")
    if random.random() < 0.1:
        random.shuffle(lines)
    return "\n".join(lines).encode()


def spoil_csv(random: Random, raw: bytes) -> bytes:
    """One cell of one line replaced."""
    lines = raw.split(b"\n")
    k = random.randrange(len(lines))
    cells = lines[k].split(b",")
    value = str(random.choice(_VALUES)).encode("utf-8", "surrogatepass")
    cells[random.randrange(len(cells))] = random.choice((value, b'"', b'"a\n"', b"\r", value * 3))
    lines[k] = b",".join(cells)
    return b"\n".join(lines)
