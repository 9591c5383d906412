"""Recording rules, alerts and runbooks: they hold together, and speak of metrics that exist."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.telemetry.programs import debian_program

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy" / "prometheus"
RULES = (DEPLOY / "tapwatch.rules.yml").read_text()
TESTS = (DEPLOY / "tapwatch.tests.yml").read_text()
ALERTS = sorted(set(re.findall(r"- alert: (\w+)", RULES)))
RECORDS = sorted(set(re.findall(r"- record: (\S+)", RULES)))


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint=all", "--lint-fatal", "tapwatch.rules.yml"),
        ("test", "rules", "tapwatch.tests.yml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments):
    """Configuration and rules are well-formed, and the rules do what their tests say."""
    command = [debian_program("promtool"), *arguments]

    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_runbook_and_a_test(alert):
    """Who is paged reads what it means, where to look and what to do; the rule was seen firing."""
    runbook = (ROOT / "docs" / "runbooks" / f"{alert}.md").read_text()

    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    assert headings == [alert, "Impact", "Where to look", "What to do"]
    assert f"runbook_url: docs/runbooks/{alert}.md" in RULES
    assert f'__name__="ALERTS", alertname="{alert}"' in TESTS


@pytest.mark.parametrize("record", RECORDS)
def test_every_recording_rule_has_a_test(record):
    """Its value is computed by hand there."""
    assert f"- expr: {record}\n" in TESTS


def test_no_runbook_is_left_over():
    """Each belongs to an alert."""
    runbooks = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}

    assert runbooks == set(ALERTS)


def test_rules_use_metrics_that_exist():
    """Every name in an expression is one that the package's source gives to a tally."""
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    without_records = re.sub(r"\w+:tapwatch_\w+:\w+", "", RULES)
    used = set(re.findall(r"\btapwatch_(\w+)", without_records))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}

    assert len(families) > 10
    assert sorted(name for name in families if f'"{name}"' not in source) == []
