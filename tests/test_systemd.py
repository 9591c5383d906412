"""Unit files call tapwatch as it is."""

import shlex
from pathlib import Path

import click
import pytest

from tapwatch.cli import main
from tapwatch.cli.replay import command as replay

ROOT = Path(__file__).resolve().parent.parent
UNITS = sorted((ROOT / "systemd").glob("*.service"))
COMMANDS = {"replay": replay}


def _settings(unit: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in unit.read_text().splitlines() if line[:1].isalpha())
    return {key: value for key, _, value in lines}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_option_of_exec_start_is_one_of_the_command(unit):
    """click takes the command line that systemd would start."""
    program, name, *arguments = shlex.split(_settings(unit)["ExecStart"])

    group = click.Context(main, **main.context_settings)
    context = COMMANDS[name].make_context(name, arguments, parent=group)

    assert Path(program).name == "tapwatch"
    assert len(context.params["bundles"]) == 2
    assert context.params["captures"] == ("/var/lib/tapwatch/%i/captures",)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_run_without_rights_but_may_compile(unit):
    """No capability and no network; memory may be made executable, for the kernels."""
    settings = _settings(unit)

    assert settings["CapabilityBoundingSet"] == ""
    assert settings["PrivateNetwork"] == "yes"
    assert "MemoryDenyWriteExecute" not in settings


def test_there_is_a_unit():
    """The tests above test something."""
    assert UNITS != []
