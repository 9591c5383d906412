"""The how-to page on the latent space runs as it stands."""

import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from tapwatch.cli import main
from tests.conftest import pcap_bytes
from tests.test_pipeline import FRAMES

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_gives_codes_and_points(tmp_path, monkeypatch, capsys):
    """All its blocks, one after another, on the rows of a small capture."""
    page = (ROOT / "docs/how-to/look-into-a-bundle.md").read_text(encoding="utf-8")
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "a.pcap").write_bytes(pcap_bytes(FRAMES))
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(main, ["features", "a.pcap", "--view", "flow", "-o", "rows.parquet"])
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    bundle, codes = names["bundle"], names["codes"]

    assert capsys.readouterr().out == f"flow {bundle.detector.name} {bundle.n_latent}\n"
    assert codes.shape == (len(names["values"]), bundle.n_latent)
    assert names["points"].shape == (len(codes), 2)
    rows = bundle.preprocess.apply(names["values"])
    assert np.array_equal(codes, bundle.detector.latent(rows))
