"""fastgd: gradient descent for linear models and small networks, one sample at a time, at the speed of the machine.

Every sample sees the weights that the sample before it left. A model f(x, W) with weights W, a loss C and a learning
rate λ: for each training sample the output, the loss, the gradient of the loss by each weight, and the update
w ← w − λ ∂C/∂w.

>>> import numpy as np, fastgd
>>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
>>> model = fastgd.Linear(1, 1, seed=0)
>>> history = fastgd.train(model, X, 3 * X[:, 0] + 1, optimizer=fastgd.SGD(lr=0.1), epochs=20)
>>> model([2.0]).round(3)
np.float64(7.0)
"""

import importlib
from typing import Any

from fastgd._load import load_kernels as _load_kernels

isa = _load_kernels()

from fastgd import activations, losses, optimizers, penalties, schedules  # noqa: E402 - the kernels come first
from fastgd.callbacks import EarlyStopping  # noqa: E402
from fastgd.config import show_config  # noqa: E402
from fastgd.descent import Path, descend  # noqa: E402
from fastgd.engine import DivergenceError  # noqa: E402
from fastgd.evaluation import evaluate, gradient  # noqa: E402
from fastgd.exchange import from_torch  # noqa: E402
from fastgd.history import History, Trace  # noqa: E402
from fastgd.model import MLP, Linear  # noqa: E402
from fastgd.optimizers import FTRL, SGD, Adagrad, Adam, AdamW, RMSprop  # noqa: E402
from fastgd.trainer import Trainer  # noqa: E402
from fastgd.training import train  # noqa: E402

__all__ = [
    "FTRL",
    "MLP",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "Linear",
    "Path",
    "RMSprop",
    "Trace",
    "Trainer",
    "activations",
    "descend",
    "evaluate",
    "from_torch",
    "gradient",
    "losses",
    "optimizers",
    "penalties",
    "plot",
    "schedules",
    "show_config",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "plot":  # an extra, imported when it is first used
        return importlib.import_module("fastgd.plot")
    raise AttributeError(f"module 'fastgd' has no attribute {name!r}")
