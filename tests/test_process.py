"""What only a process of its own can show: Ctrl-C in the middle of a long fit, and the memory of a large one."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

LONG_FIT = """
import signal, sys, time, numpy as np, fastgd
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
rng = np.random.default_rng(0)
rows = int(sys.argv[2])
X = rng.normal(size=(rows, 64)); t = X @ rng.normal(size=64) + rng.normal(size=rows)
options = {"shuffle": sys.argv[1] == "shuffled", "seed": 1}
trainer = fastgd.Trainer(fastgd.Linear(64, 1, seed=0), optimizer=fastgd.SGD(lr=1e-4), **options)
print("training", flush=True)
try:
    trainer.run(X, t, epochs=10**9)
except KeyboardInterrupt:
    caught = time.monotonic()
    assert np.isfinite(trainer.model.params).all() and np.isfinite(trainer.model(X[:5])).all()
    epochs = trainer.history.epochs
    trainer.run(X, t)
    assert trainer.history.epochs == epochs + 1 and trainer.position == 0
    expected = fastgd.Linear(64, 1, seed=0)
    fastgd.train(expected, X, t, optimizer=fastgd.SGD(lr=1e-4), **options, epochs=epochs + 1)
    assert expected.params.tobytes() == trainer.model.params.tobytes()
    print("resumed after", epochs, "epochs; interrupted at", caught, flush=True)
"""


@pytest.mark.parametrize("rows", [200_000, 200])  # one call of a pass takes two epochs, and thousands
@pytest.mark.parametrize("how", ["in order", "shuffled"])
def test_ctrl_c_keeps_the_model_and_training_goes_on(how, rows):
    fit = [sys.executable, "-c", LONG_FIT, how, str(rows)]
    process = subprocess.Popen(fit, stdout=subprocess.PIPE, text=True, cwd="/")
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    try:
        process.wait(0.3)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert output.startswith("resumed after")


MAPPED_FIT = """
import re, sys, numpy as np, fastgd
X = np.load(sys.argv[1], mmap_mode="r")
t = np.zeros(len(X))
def private():
    with open("/proc/self/status") as status:
        return int(re.search(r"RssAnon:\\s+(\\d+) kB", status.read())[1]) * 1024
fastgd.train(fastgd.Linear(64, 1, seed=0), X[:1000], t[:1000])
peak = before = private()
def look(history):
    global peak
    peak = max(peak, private())
dtype = "float32" if sys.argv[2] == "converted" else "float64"
fastgd.train(fastgd.Linear(64, 1, dtype=dtype, seed=0), X, t, shuffle=sys.argv[2] == "shuffled", X_val=X, t_val=t,
             callbacks=[look])
print(peak - before)
"""


def test_a_memory_mapped_x_is_read_in_place(tmp_path):
    path = tmp_path / "X.npy"
    X = np.lib.format.open_memmap(path, "w+", "float64", (500_000, 64))  # 256 MB
    X[::1000] = 1.0
    X.flush()
    del X
    for how in ("in order", "shuffled", "converted"):
        done = subprocess.run(
            [sys.executable, "-c", MAPPED_FIT, str(path), how], capture_output=True, text=True, cwd="/", timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 40e6
