"""What a saved trainer holds: a JSON header of choices and numbers, and the arrays of its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import files, losses, optimizers, penalties, registry, schedules
from fastgd.model import from_config
from fastgd.reference import EPOCH

if TYPE_CHECKING:
    from fastgd.trainer import Trainer

FORMAT = "fastgd.Trainer"
STATE = ("params", "state", "gradient", "counters", "totals")  # of the engine
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
OPTIONS = ("batch_size", "shuffle", "trace_limit", "progress")
NUMBERS = ("average", "clip_value", "clip_norm")  # of the method


def save(trainer: Trainer, path: Any) -> None:
    """Write the trainer to one file."""
    model, history, state = trainer.model, trainer.history, trainer._engine
    arrays = {"model": model.params} | {name: getattr(state, name) for name in STATE}
    if state.watched:
        arrays["shown"] = state.shown
    if state.paid is not None:
        arrays["paid"] = state.paid
    if history.trace is not None:
        trace = history.trace
        arrays |= {"trace_steps": np.column_stack([trace.loss, trace.grad_norm]), "trace_params": trace.params}
    callbacks = []
    for number, callback in enumerate(trainer.callbacks):
        numbers, more = callback.state() if hasattr(callback, "state") else ({}, {})
        callbacks.append({"name": name_of(callback), "state": numbers})
        arrays |= {f"callback{number}_{name}": array for name, array in more.items()}
    method, epoch = trainer.method, int(state.counters[EPOCH])
    header = {
        "model": model.config(),
        "trained": model.loss is not None,
        "loss": registry.to_json(trainer.loss) if _by_name(trainer.loss) else None,
        "optimizer": registry.to_json(method.optimizer),
        "penalty": None if method.penalty is None else registry.to_json(method.penalty),
        "schedule": registry.to_json(method.schedule) if _by_name(method.schedule) else None,
        "method": {name: getattr(method, name) for name in NUMBERS},
        "options": {name: getattr(trainer, name) for name in OPTIONS} | {"trace": history.trace is not None},
        "generator": trainer._orders.generator.bit_generator.state,
        "epoch_start": [epoch, trainer._orders.begun[epoch]] if epoch in trainer._orders.begun else [-1, None],
        "epoch_rows": trainer._epoch_rows,
        "history": {"loss": history.loss, "val_loss": history.val_loss, "seconds": history.seconds},
        "callbacks": callbacks,
    }
    files.write(path, FORMAT, header, arrays)


def load(path: Any, callbacks: Sequence[Any], loss: Any, schedule: Any, make: type[Trainer]) -> Trainer:
    """Read the trainer back, refusing a file that is not whole."""
    header, arrays = files.read(path, FORMAT)
    try:
        names = [described["name"] for described in header["callbacks"]]
        model = from_config(header["model"])
        loss = _choice("loss", losses.registry, header["loss"], loss)
        schedule = _choice("schedule", schedules.registry, header["schedule"], schedule)
        optimizer = registry.from_json("optimizer", optimizers.registry, header["optimizer"])
        described = header["penalty"]
        penalty = None if described is None else registry.from_json("penalty", penalties.registry, described)
        options = dict(header["options"]) | {name: header["method"][name] for name in NUMBERS}
        given = [name_of(callback) for callback in callbacks]
        if given != names:
            raise ValueError(f"it was saved with callbacks {names}, which must be given again; given are {given}")
        trainer = make(model, loss, optimizer, **options, callbacks=callbacks, penalty=penalty, schedule=schedule)
        kind = header["generator"]["bit_generator"]
        if kind not in GENERATORS:
            raise ValueError(f"bit generator {kind!r} is not known; allowed are {', '.join(GENERATORS)}")
        trainer._orders.generator = np.random.Generator(getattr(np.random, kind)())
        trainer._orders.generator.bit_generator.state = header["generator"]
        epoch, begun = header["epoch_start"]
        trainer._orders.begun, trainer._epoch_rows = {epoch: begun}, header["epoch_rows"]
        trainer.history.loss[:] = [float(value) for value in header["history"]["loss"]]
        trainer.history.val_loss[:] = [float(value) for value in header["history"]["val_loss"]]
        trainer.history.seconds = float(header["history"]["seconds"])
        states = [described["state"] for described in header["callbacks"]]
        if not (isinstance(epoch, int) and isinstance(header["epoch_rows"], (int, type(None)))):
            raise ValueError("the place in its epoch is not whole")
        for number, (callback, numbers) in enumerate(zip(callbacks, states, strict=True)):
            if hasattr(callback, "set_state"):
                mark = f"callback{number}_"
                callback.set_state(numbers, {k.removeprefix(mark): v for k, v in arrays.items() if k.startswith(mark)})
    except (KeyError, TypeError, AttributeError, ValueError, MemoryError, OverflowError) as error:
        raise ValueError(f"{path} cannot be loaded as a {FORMAT} file: {error}") from None
    state = trainer._engine
    for name in STATE:
        target = getattr(state, name)
        target[...] = files.array(path, arrays, name, target)
    if state.paid is not None:
        state.paid[:] = files.array(path, arrays, "paid", state.paid)
    state.show()
    model.params[:] = files.array(path, arrays, "model", model.params)
    if state.watched:
        state.shown[:] = files.array(path, arrays, "shown", state.shown)
    trace = trainer.history.trace
    if trace is not None:
        updates = np.shape(arrays.get("trace_steps", ()))[:1] or (0,)
        steps = files.array(path, arrays, "trace_steps", np.empty((*updates, 2)))
        trace.append(
            steps, files.array(path, arrays, "trace_params", np.empty((*updates, model.params.size), model.dtype))
        )
    if (state.counters < 0).any() or not 0 <= len(trainer.history.loss) - state.counters[EPOCH] <= 1:
        raise ValueError(f"{path} is damaged: its counters {state.counters.tolist()} do not fit its history")
    if header["trained"]:
        model.loss = trainer.loss  # the very one, so that a step need not set it
        trainer._signed_labels = model._signed_labels
    return trainer


def _by_name(choice: Any) -> bool:
    # whether a file can name it; a function of the user's own must be given again
    try:
        registry.to_json(choice)
    except TypeError:
        return False
    return True


def _choice(kind: str, choices: Mapping[str, Any], described: Any, given: Any) -> Any:
    if described is None and given is None:
        raise ValueError(f"it was saved with a {kind} of your own, which no file can hold: give it again as {kind}=")
    if described is not None and given is not None:
        raise ValueError(f"it names its own {kind}, {described['name']!r}, so {kind} must not be given")
    return given if described is None else registry.from_json(kind, choices, described)


def name_of(callback: Any) -> str:
    """Return the name under which a callback is saved: its own, or its class's."""
    return str(getattr(callback, "__name__", type(callback).__name__))
