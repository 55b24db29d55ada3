"""Interruption, failure and resumption: nothing that was learnt is lost, and nothing else happens to it."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from passes import relative
from test_trainer import fit, linear, make

import fastgd


def interrupt_at(trainer, slices):
    """Let the trainer's run be interrupted after so many more slices."""
    visit_slice, left = trainer._engine._visit_slice, [slices]

    def visit(*args, **kwargs):
        visit_slice(*args, **kwargs)
        if left[0] == 0:
            trainer._engine._visit_slice = visit_slice
            raise KeyboardInterrupt
        left[0] -= 1

    trainer._engine._visit_slice = visit


@pytest.mark.parametrize("saved", [False, True], ids=["in memory", "through a file"])
@pytest.mark.parametrize("batch_size", [1, 32, 10**6])
@pytest.mark.parametrize("slices", [0, 3, 6, 11])
def test_an_interrupted_run_goes_on_where_it_was(slices, batch_size, saved, tmp_path, monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 2e-6)
    X, T = make(n=500)
    options = {"batch_size": batch_size, "shuffle": True, "seed": 8}
    expected = linear()
    wanted = fastgd.train(expected, X, T, epochs=2, **options)
    trainer = fastgd.Trainer(linear(), **options)
    interrupt_at(trainer, slices)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(X, T, epochs=2)
    assert np.isfinite(trainer.model.params).all()
    if saved:
        trainer.save(tmp_path / "trainer.npz")
        trainer = fastgd.Trainer.load(tmp_path / "trainer.npz")
    history = trainer.run(X, T, epochs=2 - trainer.history.epochs)
    assert trainer.model.params.tobytes() == expected.params.tobytes()
    assert history.loss == wanted.loss


def interrupting_tracer(lines):
    """Interrupt the trainer or its engine after so many lines."""
    left = [lines]

    def tracer(frame, event, _):
        if not frame.f_code.co_filename.endswith(("trainer.py", "engine.py")):
            return None
        left[0] -= event == "line"
        if left[0] < 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return tracer

    return tracer


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("trace", [False, True], ids=["", "traced"])
def test_an_interruption_at_any_line_loses_nothing(batch_size, trace, monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 5e-6)
    X, T = make(n=500)
    options = {"batch_size": batch_size, "shuffle": True, "seed": 8, "trace": trace}
    expected = linear()
    wanted = fastgd.train(expected, X, T, epochs=2, X_val=X, t_val=T, **options)
    for line in itertools.count(0, 3):
        trainer = fastgd.Trainer(linear(), **options)
        previous = sys.gettrace()
        sys.settrace(interrupting_tracer(line))
        try:
            trainer.run(X, T, epochs=2, X_val=X, t_val=T)
            break  # it came to its end before that line
        except KeyboardInterrupt:
            left = 2 - int(trainer._engine.counters[0])
        finally:
            sys.settrace(previous)
        if left:
            trainer.run(X, T, epochs=left, X_val=X, t_val=T)
        assert trainer.model.params.tobytes() == expected.params.tobytes(), line
        assert (trainer.history.loss, trainer.history.val_loss) == (wanted.loss, wanted.val_loss), line
    assert line > 100


def test_an_open_epoch_wants_its_rows_or_to_be_given_up(monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 2e-6)
    X, T = make(n=500)
    trainer = fastgd.Trainer(linear(), batch_size=7)
    interrupt_at(trainer, 2)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(X, T)
    position = trainer.position
    assert 0 < position < 500
    with pytest.raises(ValueError, match=f"the interrupted epoch is at row {position} of 500, but X has 400 rows"):
        trainer.run(X[:400], T[:400])
    trainer.end_epoch()
    start = trainer.model.params.copy()
    trainer.run(X[:400], T[:400])
    expected = linear()
    expected.params[:] = start
    fastgd.train(expected, X[:400], T[:400], batch_size=7)
    assert trainer.model.params.tobytes() == expected.params.tobytes()
    assert trainer.history.epochs == 1


@pytest.mark.parametrize("batch_size", [1, 10, 1000])
def test_divergence_is_named_and_the_last_finite_weights_kept(dtype, batch_size):
    X, T = make(dtype=dtype, n=1000)
    model = linear(dtype=dtype)
    with pytest.raises(fastgd.DivergenceError, match=r"training diverged in epoch \d+ at row \d+") as info:
        fastgd.train(model, X, T, optimizer=fastgd.SGD(lr=1e6), batch_size=batch_size, epochs=100)
    assert isinstance(info.value, FloatingPointError)
    assert isinstance(info.value, ValueError)
    assert info.value.lr == 1e6
    assert info.value.largest == pytest.approx(np.abs(X).max())
    assert "learning rate 1e+06" in str(info.value)
    assert np.isfinite(model.params).all()
    assert pickle.loads(pickle.dumps(info.value)).row == info.value.row


def test_parameters_that_are_not_finite_are_refused():
    model = linear()
    model.weight[0, 0] = np.nan
    with pytest.raises(ValueError, match="the model's parameters are not finite before training"):
        fastgd.train(model, *make(n=10))


def test_two_threads_training_one_model_get_an_error():
    X, T = make(n=200)
    model, errors = linear(), []
    trainer = fastgd.Trainer(model)

    def second(_history):
        def try_it():
            for call in (lambda: fastgd.train(model, X, T), lambda: fastgd.Trainer(model).step(X[0], T[0]),
                         lambda: trainer.step(X[0], T[0]), trainer.end_epoch):  # fmt: skip
                with pytest.raises(RuntimeError, match="this model is being trained by another thread") as info:
                    call()
                errors.append(info)

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()

    trainer.callbacks = (second,)
    trainer.run(X, T)
    assert len(errors) == 4


def test_threads_training_models_of_their_own_agree_with_one_thread():
    X, T = make()
    models = [linear() for _ in range(4)]
    threads = [threading.Thread(target=fastgd.train, args=(m, X, T), kwargs={"epochs": 5}) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = fit(X, T, epochs=5).params.tobytes()
    assert all(model.params.tobytes() == expected for model in models)


def test_step_leaves_an_open_batch_alone():
    X, T = make(n=100)
    model, plain = linear(), linear()
    trainer = fastgd.Trainer(model, batch_size=64)
    interrupt_at(trainer, 0)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(X, T)
    gradient = trainer._engine.gradient.copy()
    assert gradient.any()
    trainer.step(X[0], T[0])
    fastgd.Trainer(plain).step(X[0], T[0])
    assert (trainer._engine.gradient == gradient).all()
    assert trainer.updates == 2  # one full batch of 64, and the step
    assert trainer.position == 100


INTERRUPTED = """
import gc, signal, sys
import numpy as np
import fastgd

gc.disable()  # what is raised inside the collector is lost
X, T = np.ones((4, 8)), np.ones((4, 1))
trainer = fastgd.Trainer(fastgd.Linear(8, 1, seed=0))
calls = {"arrays": lambda: trainer.step(X[0], 1.0), "lists": lambda: trainer.step([1.0] * 8, 1.0),
         "runs": lambda: trainer.run(X, T)}
call = calls[sys.argv[1]]
signal.signal(signal.SIGALRM, signal.default_int_handler)
for k in range(200):
    try:
        signal.setitimer(signal.ITIMER_REAL, 2e-4 + 1e-6 * k)
        for _ in range(10**5):
            call()
    except KeyboardInterrupt:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    trainer.step(X[0], 1.0)
print("free")
"""


@pytest.mark.parametrize("how", ["arrays", "lists", "runs"])
def test_an_interruption_between_any_two_instructions_frees_the_model(how):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, how], capture_output=True, text=True, timeout=120, cwd="/"
    )
    assert done.stdout == "free\n", done.stderr


def test_pieces_that_end_before_the_open_epoch_are_refused(monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 2e-6)
    X, T = make(n=500)
    trainer = fastgd.Trainer(linear())
    interrupt_at(trainer, 3)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(X, T)
    with pytest.raises(ValueError, match="X has no pieces"):
        trainer.run([])
    with pytest.raises(ValueError, match=r"the interrupted epoch is at row .*, but the pieces have 100 rows"):
        trainer.run([(X[:100], T[:100])])
    assert trainer.history.epochs == 0
    trainer.run([(X[:250], T[:250]), (X[250:], T[250:])])
    assert relative(trainer.model.params, fit(X, T).params) < 1e-12
