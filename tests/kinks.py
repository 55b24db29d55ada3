"""Where the losses have kinks: a draw on one is discarded, because there rounding decides which formula is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgd.losses import Loss

#: the raw predictions at which the loss or its slope changes its formula, by the name of the loss; s = 2t − 1
KINKS: dict[str, Callable[[Any, Any], list[Any]]] = {
    "mse": lambda loss, t: [],
    "sse": lambda loss, t: [],
    "squared_error": lambda loss, t: [],
    "absolute": lambda loss, t: [t],
    "huber": lambda loss, t: [t - loss.delta, t + loss.delta],
    "epsilon_insensitive": lambda loss, t: [t - loss.epsilon, t + loss.epsilon],
    "squared_epsilon_insensitive": lambda loss, t: [t - loss.epsilon, t + loss.epsilon],
    "quantile": lambda loss, t: [t],
    "poisson": lambda loss, t: [],
    "gamma": lambda loss, t: [],
    "tweedie": lambda loss, t: [],
    "log_loss": lambda loss, t: [],
    "hinge": lambda loss, t: [2 * t - 1],
    "squared_hinge": lambda loss, t: [2 * t - 1],
    "modified_huber": lambda loss, t: [2 * t - 1, 1 - 2 * t],
    "perceptron": lambda loss, t: [0 * t],
    "cross_entropy": lambda loss, t: [],
}


def distance_to_kink(loss: Loss, y: Any, t: Any) -> Any:
    """Return for each output (..., K) how far its raw prediction is from the nearest kink; inf where there is none."""
    y, t = np.asarray(y, np.float64), np.asarray(t, np.float64)
    distances = [np.abs(y - kink) for kink in KINKS[loss.name](loss, t)]
    return np.min(distances, axis=0) if distances else np.full(y.shape, np.inf)
