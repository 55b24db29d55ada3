"""train: a Trainer's first run, in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy.typing as npt

from fastgd import losses, optimizers, penalties, schedules
from fastgd.history import History
from fastgd.model import MLP
from fastgd.pieces import Piece
from fastgd.trainer import TRACE_LIMIT, Callback, Trainer


def train(
    model: MLP,
    X: npt.ArrayLike | Iterable[Piece],
    t: npt.ArrayLike | None = None,
    loss: str | losses.Loss = "mse",
    optimizer: str | optimizers.Optimizer = optimizers.SGD(lr=0.01),  # noqa: B008 - it is frozen
    epochs: int = 1,
    batch_size: int = 1,
    shuffle: bool = False,
    seed: int | None = None,
    sample_weight: npt.ArrayLike | None = None,
    X_val: npt.ArrayLike | None = None,
    t_val: npt.ArrayLike | None = None,
    trace: bool = False,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
    trace_limit: int = TRACE_LIMIT,
    penalty: str | penalties.Penalty | None = None,
    schedule: str | schedules.Schedule | Callable[[int], float] = "constant",
    average: bool | int = False,
    clip_value: float | None = None,
    clip_norm: float | None = None,
) -> History:
    """Train the model in place by gradient descent, one sample at a time, and return the history.

    For each sample x with target t: y = f(x), C = loss(y, t), w ← w − λ ∂C/∂w; the next sample meets the new
    weights. It is ``Trainer(model, …).run(X, t, …)``; see :class:`Trainer` and :meth:`Trainer.run` for the
    parameters, and for the errors.

    Returns
    -------
    History
        ``loss`` (a value an epoch), ``val_loss``, ``epochs``, ``seconds`` and, with ``trace=True``, ``trace``.

    References
    ----------
    L. Bottou, Large-scale machine learning with stochastic gradient descent, COMPSTAT 2010, 177-186.

    Examples
    --------
    >>> import numpy as np, fastgd
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> model = fastgd.Linear(1, 1, seed=0)
    >>> history = fastgd.train(model, X, 3 * X[:, 0] + 1, optimizer=fastgd.SGD(lr=0.1), epochs=20)
    >>> model.params.round(3)
    array([3., 1.])
    """
    trainer = Trainer(
        model, loss, optimizer, batch_size, shuffle, seed, trace, trace_limit, progress, callbacks, penalty, schedule,
        average, clip_value, clip_norm,
    )  # fmt: skip
    return trainer.run(X, t, epochs, sample_weight, X_val, t_val)
