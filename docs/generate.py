"""Write docs/reference/ from the code: config, command line, metrics. `make docs` runs it.

    python docs/generate.py [--check]

With --check nothing is written; the exit code is 1 where a committed page differs.
"""

import ast
import os
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from pydantic.fields import FieldInfo

from tapwatch import config
from tapwatch.cli import COMMANDS, LazyGroup, main

REFERENCE = Path(__file__).resolve().parent / "reference"
SAMPLE_BUNDLES = REFERENCE.parent.parent / "samples" / "bundles"
MADE = "<!-- Made by docs/generate.py; `make docs` writes it again. -->\n"


def attribute_docs(module: types.ModuleType) -> dict[tuple[str, str], str]:
    """(class, field) -> the string that stands below the field in the source."""
    docs = {}
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                target, value = field.target, text.value
                if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                    docs[node.name, target.id] = " ".join(str(value.value).split())
    return docs


def limits(field: FieldInfo) -> str:
    """What a field takes, in words."""
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    given = [
        f"{text} {getattr(rule, name):,}"
        for rule in field.metadata
        for name, text in words.items()
        if getattr(rule, name, None) is not None
    ]
    choices = typing.get_args(field.annotation)
    return ", ".join(given) or " or ".join(f"`{c}`" for c in choices) or "text"


def config_page() -> Iterator[str]:
    """Every key of the configuration file."""
    docs = attribute_docs(config)
    yield "# Configuration\n"
    yield "One TOML file, `--config FILE`. Every key may be left out. `tapwatch check-config FILE`"
    yield "tells all that is wrong with a file at once.\n"
    top = config.Config.model_fields
    sections = {n: f for n, f in top.items() if isinstance(f.default, config.Section)}
    for name, field in sections.items():
        model = type(field.default)
        intro = str(model.__doc__).split(":", 1)[1].strip()
        yield f"## [{name}]\n\n{intro[0].upper()}{intro[1:]}\n"
        yield "| key | default | takes | meaning |\n|---|---|---|---|"
        for key, knob in model.model_fields.items():
            meaning = docs[model.__name__, key]
            yield f"| `{key}` | `{knob.default!r}` | {limits(knob)} | {meaning} |"
        yield ""
    yield "## Outside every section\n"
    yield "| key | default | takes | meaning |\n|---|---|---|---|"
    for key, knob in top.items():
        if key not in sections:
            yield f"| `{key}` | `{knob.default!r}` | {limits(knob)} | {docs['Config', key]} |"


def cli_page() -> Iterator[str]:
    """What every command says of itself."""
    yield "# Command line\n"
    yield "| exit code | meaning |\n|---|---|"
    yield "| 0 | done |\n| 1 | a fault of ours, or of the machine (a full disk) |"
    yield "| 2 | usage or configuration |\n| 3 | input cannot be read |"
    yield "| 4 | a bundle does not fit |\n| 130 | interrupted |\n"
    group = typing.cast(LazyGroup, main)
    width = {"terminal_width": 96, "max_content_width": 96}
    context = click.Context(group, info_name="tapwatch", **width, **group.context_settings)
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, max_content_width=96)
        inner.terminal_width = 96
        yield f"## tapwatch {name}\n\n```text\n{command.get_help(inner)}\n```\n"


def metrics_page() -> Iterator[str]:
    """Every metric that a live run with a bundle for each view and an alerts file exports."""
    # Inside: a page of the command line shall not wait for torch.
    import numpy as np

    from tapwatch.alerts import open_sink
    from tapwatch.capture import AfPacketSource
    from tapwatch.daemon import load_scorers
    from tapwatch.pipeline import House
    from tapwatch.telemetry import Stopwatch
    from tapwatch.telemetry.collector import PREFIX, TallyCollector
    from tapwatch.telemetry.http import serve

    settings = config.Config()
    scorers = load_scorers([SAMPLE_BUNDLES / view for view in ("flow", "packet")], settings)
    # What a socket would say of an interface, without one.
    hardware = types.SimpleNamespace(link_type=1, is_loopback=False)
    memory = np.zeros(settings.capture.ring_block_bytes, np.uint8)
    packets = types.SimpleNamespace(hardware=hardware, memory=memory)
    source = AfPacketSource(typing.cast(typing.Any, packets), "eth0", settings.capture)
    house = House(settings, source, scorers, [open_sink(os.devnull)])
    collector = TallyCollector([house.tallies, Stopwatch().tallies], house.summary)
    serve("127.0.0.1:0", collector).close()  # the server adds what it counts itself
    yield "# Metrics\n"
    yield "Served on `/metrics` in the Prometheus text format and as OpenMetrics, with the metrics"
    yield "of the process (`process_*`) and of Python's garbage collector (`python_gc_*`). Label"
    yield "values come from fixed lists and from the names of bundles, interfaces and columns,"
    yield "never from the traffic: the number of series does not grow with it. Those of the ring"
    yield "and of the interface are there in `tapwatch run` only.\n"
    yield "| metric | type | labels | meaning |\n|---|---|---|---|"
    for tally in sorted(collector.snapshot.families, key=lambda t: t.name):
        labels = ", ".join(f"`{label}`" for label in tally.labels)
        yield f"| `{PREFIX}{tally.name}` | {tally.kind} | {labels} | {tally.help} |"


def features_page() -> Iterator[str]:
    """Every column of every view."""
    from tapwatch.features.reference import page

    yield page().removeprefix(MADE).lstrip()


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "config.md": config_page,
    "cli.md": cli_page,
    "metrics.md": metrics_page,
    "features.md": features_page,
}


def render(name: str) -> str:
    """The text of one page."""
    return MADE + "\n" + "\n".join(PAGES[name]()).rstrip() + "\n"


def generate(check: bool) -> list[str]:
    """Write all pages, or with `check` only name those that differ from what is committed."""
    differing = []
    for name in PAGES:
        path, text = REFERENCE / name, render(name)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            differing.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    return differing


if __name__ == "__main__":
    checking = "--check" in sys.argv[1:]
    found = generate(checking)
    print(
        f"{'differs' if checking else 'written'}: {', '.join(found) or 'nothing'}", file=sys.stderr
    )
    sys.exit(bool(found) and checking)
