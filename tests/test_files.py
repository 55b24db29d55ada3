"""Saving and loading: everything comes back, and nothing else is accepted."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner
from passes import make_targets

import fastgd
from fastgd import cli, files

X = np.random.default_rng(0).normal(size=(40, 3))
T = X[:, :1] - X[:, 1:2] + 1


def trained(**options):
    trainer = fastgd.Trainer(fastgd.Linear(3, 1, seed=0), **options)
    trainer.run(X, T, epochs=2, X_val=X[:5], t_val=T[:5])
    return trainer


def test_everything_comes_back(loss, tmp_path):
    K = 3 if loss.coupled else 1
    rng = np.random.default_rng(1)
    targets = make_targets(loss, X @ rng.normal(size=(3, K)), rng)
    options = {"loss": loss, "optimizer": fastgd.SGD(lr=0.03), "batch_size": 3, "shuffle": True, "seed": 5}
    trainer = fastgd.Trainer(fastgd.Linear(3, K, seed=0), trace=True, **options)
    trainer.run(X, targets, epochs=2, X_val=X[:5], t_val=targets[:5])
    trainer.save(tmp_path / "trainer.npz")
    other = fastgd.Trainer.load(tmp_path / "trainer.npz")
    assert other.model.params.tobytes() == trainer.model.params.tobytes()
    assert (other.loss, other.method, other.batch_size) == (trainer.loss, trainer.method, 3)
    assert (other.history.loss, other.history.val_loss) == (trainer.history.loss, trainer.history.val_loss)
    assert other.updates == trainer.updates
    np.testing.assert_array_equal(other.history.trace.params, trainer.history.trace.params)
    np.testing.assert_array_equal(other.model(X), trainer.model(X))
    trainer.run(X, targets)
    other.run(X, targets)
    assert other.model.params.tobytes() == trainer.model.params.tobytes()
    assert other.history.loss == trainer.history.loss


METHODS = [
    {"optimizer": fastgd.SGD(lr=0.03), "penalty": "l1", "schedule": "invscaling", "average": 5},
    {"optimizer": fastgd.SGD(lr=0.03), "penalty": fastgd.penalties.ElasticNet(0.01), "schedule": "adaptive"},
    {"optimizer": fastgd.SGD(lr=0.03), "schedule": fastgd.schedules.Warmup(by="step"), "penalty": "l2", "clip_norm": 1},
    {"optimizer": fastgd.SGD(lr=0.1), "schedule": "pa2", "loss": "hinge"},
    *({"optimizer": choice(lr=0.03), "average": 7} for choice in fastgd.optimizers.registry.values()),
    *({"optimizer": choice(lr=0.03)} for choice in fastgd.optimizers.registry.values()),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: "-".join(map(str, m.values())).replace("/", ""))
@pytest.mark.parametrize("sizes", [(3, 1), (3, 4, 1)], ids=["linear", "network"])
def test_every_method_goes_on_bit_for_bit(method, sizes, tmp_path):
    if method.get("schedule") == "pa2" and len(sizes) > 2:
        sizes = (3, 1)
    targets = (T > 0).astype(float) if "loss" in method else T
    model, twin = fastgd.MLP(sizes, "tanh", seed=0), fastgd.MLP(sizes, "tanh", seed=0)
    trainer, whole = fastgd.Trainer(model, **method), fastgd.Trainer(twin, **method)
    for part in range(3):
        trainer.run(X, targets, epochs=2)
        trainer.step(X[part], targets[part])
        trainer.save(tmp_path / "trainer.npz")
        trainer = fastgd.Trainer.load(tmp_path / "trainer.npz")
        whole.run(X, targets, epochs=2)
        whole.step(X[part], targets[part])
    assert trainer.model.params.tobytes() == twin.params.tobytes()
    assert trainer.history.loss == whole.history.loss
    assert trainer.method == whole.method


def test_functions_of_the_users_own_are_given_again(tmp_path):
    class Quartic:
        def value(self, y, t):
            return ((y - t) ** 4).sum(axis=-1)

        def slope(self, y, t):
            return 4 * (y - t) ** 3

    own = fastgd.losses.get(Quartic())
    halve = lambda t: 0.5  # noqa: E731
    options = {"loss": own, "optimizer": fastgd.SGD(lr=0.001), "schedule": halve}
    trainer, whole = (fastgd.Trainer(fastgd.Linear(3, 1, seed=0), **options) for _ in range(2))
    trainer.run(X, T)
    trainer.save(tmp_path / "trainer.npz")
    with pytest.raises(ValueError, match="a loss of your own, which no file can hold: give it again as loss="):
        fastgd.Trainer.load(tmp_path / "trainer.npz", schedule=fastgd.schedules.get(halve))
    with pytest.raises(ValueError, match="a schedule of your own, which no file can hold: give it again as schedule="):
        fastgd.Trainer.load(tmp_path / "trainer.npz", loss=own)
    trainer = fastgd.Trainer.load(tmp_path / "trainer.npz", loss=own, schedule=halve)
    trainer.run(X, T)
    whole.run(X, T, epochs=2)
    assert trainer.model.params.tobytes() == whole.model.params.tobytes()
    fastgd.Trainer(fastgd.Linear(3, 1)).save(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="it names its own loss, 'mse', so loss must not be given"):
        fastgd.Trainer.load(tmp_path / "other.npz", loss=own)


@pytest.mark.parametrize("generator", ["PCG64", "MT19937", "Philox", "SFC64", "PCG64DXSM"])
def test_every_generator_of_numpy_goes_on_where_it_was(generator, tmp_path):
    trainer = trained(shuffle=True, seed=np.random.Generator(getattr(np.random, generator)(3)))
    trainer.save(tmp_path / "trainer.npz")
    other = fastgd.Trainer.load(tmp_path / "trainer.npz")
    trainer.run(X, T)
    other.run(X, T)
    assert other.model.params.tobytes() == trainer.model.params.tobytes()


def test_callbacks_are_given_again_and_early_stopping_keeps_its_state(tmp_path):
    def watch(history):
        return False

    stopper = fastgd.EarlyStopping(patience=5)
    trainer = trained(callbacks=[stopper, watch])
    trainer.save(tmp_path / "trainer.npz")
    with pytest.raises(ValueError, match=r"saved with callbacks \['EarlyStopping', 'watch'\], .* given are \[\]"):
        fastgd.Trainer.load(tmp_path / "trainer.npz")
    again = fastgd.EarlyStopping(patience=5)
    fastgd.Trainer.load(tmp_path / "trainer.npz", callbacks=[again, watch])
    assert (again.best, again.best_epoch) == (stopper.best, stopper.best_epoch)
    np.testing.assert_array_equal(again._best_params, stopper._best_params)


def test_a_callback_may_save(tmp_path):
    path = tmp_path / "trainer.npz"

    def keep(_history):
        trainer.save(path)

    trainer = fastgd.Trainer(fastgd.Linear(3, 1, seed=0), shuffle=True, seed=1, callbacks=[keep])
    trainer.run(X, T, epochs=2)
    other = fastgd.Trainer.load(path, callbacks=[keep])
    trainer.callbacks = ()
    assert other.model.params.tobytes() == trainer.model.params.tobytes()
    other.run(X, T)
    trainer.run(X, T)
    assert other.model.params.tobytes() == trainer.model.params.tobytes()


def test_saving_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "trainer.npz"
    trainer = trained()
    trainer.save(path)
    whole = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left on device")))
    trainer.run(X, T)
    with pytest.raises(OSError, match="no space left"):
        trainer.save(path)
    assert path.read_bytes() == whole
    assert os.listdir(tmp_path) == ["trainer.npz"]


def rewritten(path, change=None, **arrays):
    header, held = files.read(path, "fastgd.Trainer")
    if change:
        change(header)
    held |= arrays
    files.write(path, "fastgd.Trainer", header, {k: v for k, v in held.items() if v is not None})


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[content.index(b"params.npy") + 170] ^= 1
    path.write_bytes(content)


def other_version(path):
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header.json"].tobytes()) | {"version": 99}
    np.savez(path, **arrays | {"header.json": np.frombuffer(json.dumps(header).encode(), np.uint8)})


WRONG = {
    "cut short": (cut_short, "it is no .npz archive, or it was cut short"),
    "a flipped bit": (flipped, "is damaged or is not a fastgd.Trainer file: Bad CRC-32"),
    "empty": (lambda p: p.write_bytes(b""), "is not a fastgd.Trainer file"),
    "text": (lambda p: p.write_text("a,b\n1,2\n"), "is not a fastgd.Trainer file"),
    "another archive": (lambda p: np.savez(p, a=np.ones(3)), "it has no header"),
    "a pickle inside": (
        lambda p: np.savez(p, **{"header.json": np.array([{"format": "fastgd.Trainer"}], dtype=object)}),
        "Object arrays cannot be loaded",
    ),
    "another format": (lambda p: files.write(p, "fastgd.cli.model", {}, {}), "holds 'fastgd.cli.model', not"),
    "a later version": (other_version, "has version 99; this fastgd reads version 1"),
    "a missing array": (lambda p: rewritten(p, gradient=None), "it has no array 'gradient'"),
    "an array too short": (lambda p: rewritten(p, params=np.ones(3)), r"array 'params' is float64\(3,\), not"),
    "an array of another dtype": (lambda p: rewritten(p, params=np.ones(4, "float32")), "array 'params' is float32"),
    "an unknown loss": (lambda p: rewritten(p, lambda h: h.update(loss={"name": "rmse"})), "loss 'rmse' is not known"),
    "a loss with a wrong parameter": (
        lambda p: rewritten(p, lambda h: h.update(loss={"name": "huber", "delta": -1})), "delta=-1 must be"
    ),
    "an unknown model": (lambda p: rewritten(p, lambda h: h["model"].update({"class": "RNN"})), "model class 'RNN'"),
    "an unknown generator": (
        lambda p: rewritten(p, lambda h: h["generator"].update(bit_generator="rand")), "bit generator 'rand'"
    ),
    "counters below zero": (lambda p: rewritten(p, counters=-np.eye(5, dtype=int)[0]), r"its counters .* do not fit"),
    "counters beyond the history": (lambda p: rewritten(p, counters=9 * np.eye(5, dtype=int)[0]), "do not fit its"),
    "no place in the epoch": (lambda p: rewritten(p, lambda h: h.update(epoch_start=["x", 0])), "place in its epoch"),
    "a model beyond memory": (
        lambda p: rewritten(p, lambda h: h["model"].update(in_features=10**13)), "cannot be loaded as a fastgd.Trainer"
    ),
    "no optimizer": (lambda p: rewritten(p, lambda h: h.pop("optimizer")), "cannot be loaded as a fastgd.Trainer"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_anything_else_is_refused_with_what_is_wrong(wrong, tmp_path):
    spoil, message = WRONG[wrong]
    path = tmp_path / "trainer.npz"
    trained().save(path)
    spoil(path)
    with pytest.raises(ValueError, match=message) as info:
        fastgd.Trainer.load(path)
    assert str(path) in str(info.value)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastgd.Trainer.load(tmp_path / "none.npz")
    with pytest.raises(OSError, match="none"):
        trained().save(tmp_path / "none" / "trainer.npz")


def test_saving_follows_links_and_spares_what_is_no_file(tmp_path):
    os.symlink("real.npz", tmp_path / "link.npz")
    trained().save(tmp_path / "link.npz")
    assert os.path.islink(tmp_path / "link.npz")
    fastgd.Trainer.load(tmp_path / "real.npz")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe is not a regular file"):
        trained().save(tmp_path / "pipe")
    assert sorted(os.listdir(tmp_path)) == ["link.npz", "pipe", "real.npz"]


def test_the_command_line_never_writes_over_what_it_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{x},{2 * x}" for x in range(20))
    (tmp_path / "rows.csv").write_text("x,y\n" + rows)
    whole = (tmp_path / "rows.csv").read_bytes()

    def fails(*arguments):
        done = CliRunner().invoke(cli.commands(), list(arguments))
        assert done.exit_code == 2
        assert done.stderr.startswith("Error: --out")
        assert "that is read" in done.stderr

    fails("train", "rows.csv", "--target", "y", "--out", "./rows.csv")
    assert CliRunner().invoke(cli.commands(), ["train", "rows.csv", "--target", "y"]).exit_code == 0
    fails("predict", "model.npz", "rows.csv", "--out", "rows.csv")
    fails("predict", "model.npz", "rows.csv", "--out", "model.npz")
    assert (tmp_path / "rows.csv").read_bytes() == whole
