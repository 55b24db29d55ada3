"""Callbacks: objects called with the history after each epoch; one that returns True stops the training."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd.history import History
from fastgd.registry import check_count, check_flag


class EarlyStopping:
    """Stop when the loss has not improved for a number of epochs.

    It watches the validation loss where there is one, else the training loss. Each run starts it afresh; only a run
    that was interrupted goes on with what it had.

    Parameters
    ----------
    patience : int
        Epochs without improvement after which training stops, ≥ 1.
    restore_best : bool, default True
        Whether the model gets back the parameters of its best epoch when training ends, by this or otherwise.

    Attributes
    ----------
    best : float
        The lowest loss so far.
    best_epoch : int
        The epoch, counted from zero, that had it.

    Examples
    --------
    >>> import numpy as np, fastgd
    >>> X = np.linspace(-1, 1, 20).reshape(-1, 1)
    >>> model = fastgd.Linear(1, 1, seed=0)
    >>> history = fastgd.train(model, X, 3 * X[:, 0], optimizer=fastgd.SGD(lr=0.1), epochs=1000,
    ...                        X_val=X, t_val=3 * X[:, 0], callbacks=[fastgd.EarlyStopping(patience=3)])
    >>> history.epochs < 1000
    True
    """

    def __init__(self, patience: int, restore_best: bool = True) -> None:
        self.patience = check_count("patience", patience)
        self.restore_best = check_flag("restore_best", restore_best)
        self.best = float("inf")
        self.best_epoch = -1
        self._best_params: Any = None
        self._ended = False  # whether the run that this is the state of has ended
        self._history: History | None = None

    def __call__(self, history: History) -> bool:
        """Take note of the epoch; return True when patience is at its end."""
        epoch = history.epochs - 1
        if self._ended or (self._history is not None and self._history is not history):
            self.best, self.best_epoch, self._best_params, self._ended = float("inf"), epoch, None, False
        self._history = history
        watched = history.val_loss if len(history.val_loss) == history.epochs else history.loss
        if watched[-1] < self.best:
            self.best, self.best_epoch = float(watched[-1]), epoch
            self._best_params = history.model.params.copy() if self.restore_best else None
        return epoch - self.best_epoch >= self.patience

    def finish(self, history: History) -> None:
        """Give the model back its best parameters; called when a run ends."""
        if self._best_params is not None:
            history.model.params[:] = self._best_params
        self._ended = True

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a saved trainer keeps of this callback: numbers, and arrays."""
        arrays = {} if self._best_params is None else {"best_params": self._best_params}
        return {"best": self.best, "best_epoch": self.best_epoch, "ended": self._ended}, arrays

    def set_state(self, numbers: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self.best, self.best_epoch, self._ended = float(numbers["best"]), int(numbers["best_epoch"]), numbers["ended"]
        self._history = None
        best = arrays.get("best_params")
        self._best_params = None if best is None else np.array(best)
