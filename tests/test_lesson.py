from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastgd

LESSON = Path(__file__).parents[1] / "examples" / "lesson.py"
PICTURES = ["dimensions.png", "learning_rates.png", "loss_surface.png", "minima.png"]
COLUMNS = r" \| (\d\.\d{8})  \[ ?(-?\d\.\d{3}) +(-?\d\.\d{3})\]"


def run(folder, before=()):
    """Run the lesson into the folder, with other folders first on the path, and return what it prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*before, Path(fastgd.__file__).parents[1]]))}
    command = [sys.executable, "-W", "error", str(LESSON), str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, encoding="utf-8", timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def printed(folder):
    return run(folder)


def number(pattern, text):
    return float(re.search(pattern, text).group(1))


def test_it_writes_its_pictures(printed, folder):
    assert sorted(path.name for path in folder.iterdir()) == PICTURES
    for name in PICTURES:
        assert f"Picture: {name}" in printed
        assert (folder / name).stat().st_size < 80_000
        with Image.open(folder / name) as picture:
            assert min(picture.size) >= 300
            assert len(picture.getcolors()) > 10  # something is drawn


def test_pictures_in_the_repository_are_those_of_the_lesson():
    assert sorted(path.name for path in (LESSON.parents[1] / "docs" / "images").glob("*.png")) == PICTURES


def test_slopes_agree(printed):
    # w1 = 0.5, w2 = −1, x = 3, t = 2: f = 0.5, so 2 · (−1.5) · 3 and 2 · (−1.5)
    for name, slope in ("dC/dw1", -9), ("dC/dw2", -3):
        by_hand, numerical, computed = re.search(rf"^{name} +(\S+) +(\S+) +(\S+)$", printed, re.MULTILINE).groups()
        assert [float(by_hand), float(computed)] == [slope, slope]
        assert float(numerical) == pytest.approx(slope, rel=1e-8)
    assert number(r"all eight weights (\S+)\)", printed) < 1e-8


def test_steps_agree(printed):
    assert number(r"between the two paths (\S+)", printed) < 1e-12


def test_learning_rates_crawl_arrive_and_diverge(printed):
    table = re.findall(r"^ +(1e[+-]0\d) \|(.*)\|", printed, re.MULTILINE)
    assert [float(lr) for lr, _ in table] == [10.0**power for power in range(-6, 1)]
    ends = [float(losses.split()[-1]) for _, losses in table]
    best = number(r"the best \| +(\S+)", printed)
    assert ends[0] > 0.9 * float(table[0][1].split()[0])
    assert ends[4] == pytest.approx(best, rel=0.01)
    assert best < ends[4] < ends[5] < 2 * best
    assert ends[6] > 1e10
    assert re.search(r"^training diverged in epoch \d+ at row", printed, re.MULTILINE)
    assert "learning rate 1)" in printed


def test_both_minima_are_named(printed):
    assert "to w = -1.0000, where f = -5.0000: the local minimum" in printed
    assert "to w = +2.0000, where f = -32.0000: the global minimum" in printed


def test_torch_and_its_twin_agree(printed):
    assert number(r"losses, outputs, gradients and weights: (\S+)", printed) < 1e-6
    rows = np.array(re.findall(rf"^ +(\d){COLUMNS}{COLUMNS}$", printed, re.MULTILINE), float)
    assert rows.shape == (10, 7)
    np.testing.assert_allclose(rows[:, 1:4], rows[:, 4:], atol=1e-6)
    loss, outputs = rows[:, 1], rows[:, 2:4]
    np.testing.assert_allclose(loss, ((outputs - [1, 0]) ** 2).mean(axis=1), atol=2e-3)
    # lr · 2/K · (|x|² + 1) = 0.2: the distance to the target shrinks by 0.8 a step
    np.testing.assert_allclose(loss, loss[0] * 0.64 ** np.arange(10), rtol=1e-6)


def test_it_goes_on_without_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('none here')\n", encoding="utf-8")
    pictures = tmp_path / "new" / "folder"
    pictures.mkdir(parents=True)
    printed = run(pictures, before=[tmp_path])
    assert len(re.findall(r"^torch is not installed", printed, re.MULTILINE)) == 1
    assert len(re.findall(rf"^ +\d{COLUMNS}$", printed, re.MULTILINE)) == 10
    assert "largest difference in losses" not in printed
