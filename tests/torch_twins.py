"""fastgd's choices in torch, and runs of both from the same first weights over the same rows in the same order."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from passes import make_targets, relative
from torch import nn
from torch.optim import lr_scheduler

import fastgd
from fastgd import activations, losses, optimizers, schedules

torch.set_num_threads(1)

UPDATES = 500
LINEAR, NETWORK = (8, 3), (8, 16, 8, 3)
#: a run counts where torch's own weights move by less than this when its first weights move by one ulp
STABLE = 1e-10
#: and there fastgd's may be this far from torch's
TOLERANCE = 1e-9
#: the part of the runs of an optimizer that must count
SHARE = 0.8


def times(factor: float, module: Any) -> Callable[[Any, Any], Any]:
    """Return the criterion multiplied: torch averages over the outputs where fastgd sums."""
    return lambda y, t: factor * module(y, t)


def margin(outputs: int, width: float) -> Callable[[Any, Any], Any]:
    """Return max(0, width − s y), with s = 2t − 1, as the loss of the pair (y, 0) that t should rank."""
    module = nn.MarginRankingLoss(margin=width)
    return lambda y, t: outputs * module(y, torch.zeros_like(y), 2 * t - 1)


def cross_entropy(y: Any, t: Any) -> Any:
    """Return torch's loss for rows of probabilities, or for class indices in a single column."""
    return nn.CrossEntropyLoss()(y, t[:, 0].long() if t.shape[1] == 1 else t)


#: by name, from a loss and K, the function of y and t (rows, K) that is its mean over the rows
LOSSES: dict[str, Callable[[Any, int], Callable[[Any, Any], Any]]] = {
    "mse": lambda loss, K: nn.MSELoss(),
    "sse": lambda loss, K: times(K, nn.MSELoss()),
    "squared_error": lambda loss, K: times(K / 2, nn.MSELoss()),
    "absolute": lambda loss, K: times(K, nn.L1Loss()),
    "huber": lambda loss, K: times(K, nn.HuberLoss(delta=loss.delta)),
    "log_loss": lambda loss, K: times(K, nn.BCEWithLogitsLoss()),
    "poisson": lambda loss, K: times(K, nn.PoissonNLLLoss(log_input=True)),
    "hinge": lambda loss, K: margin(K, 1.0),
    "perceptron": lambda loss, K: margin(K, 0.0),
    "cross_entropy": lambda loss, K: cross_entropy,
}
ACTIVATIONS: dict[str, Callable[[Any], nn.Module]] = {
    "relu": lambda choice: nn.ReLU(),
    "leaky_relu": lambda choice: nn.LeakyReLU(choice.negative_slope),
    "tanh": lambda choice: nn.Tanh(),
    "logistic": lambda choice: nn.Sigmoid(),
    "identity": lambda choice: nn.Identity(),
    "softplus": lambda choice: nn.Softplus(),
}
OPTIMIZERS: dict[str, Any] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}
SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "step": lambda optimizer, choice: lr_scheduler.StepLR(optimizer, choice.step_size, choice.gamma),
    "exponential": lambda optimizer, choice: lr_scheduler.ExponentialLR(optimizer, choice.gamma),
    "cosine": lambda optimizer, choice: lr_scheduler.CosineAnnealingLR(optimizer, choice.t_max, choice.eta_min),
    "warmup": lambda optimizer, choice: lr_scheduler.LinearLR(optimizer, choice.start_factor, total_iters=choice.steps),
}
#: (registry, torch's, why torch has none of the others): what is registered stands in one of the two
TABLES: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "losses": (
        losses.registry,
        LOSSES,
        {
            "epsilon_insensitive": "no loss with a dead zone",
            "squared_epsilon_insensitive": "no loss with a dead zone",
            "quantile": "no pinball loss; L1Loss is twice that of tau = 1/2",
            "gamma": "no likelihood of the gamma distribution",
            "tweedie": "no Tweedie deviance",
            "squared_hinge": "MarginRankingLoss is not squared, MultiMarginLoss(p=2) compares classes",
            "modified_huber": "no smoothed margin loss; SoftMarginLoss is the log loss",
        },
    ),
    "optimizers": (optimizers.registry, OPTIMIZERS, {"ftrl": "no follow-the-leader method"}),
    "activations": (activations.registry, ACTIVATIONS, {}),
    "schedules": (
        schedules.registry,
        SCHEDULES,
        {
            "constant": "the absence of a scheduler",
            "optimal": "Bottou's rate follows from a penalty, which torch does not have",
            "invscaling": "no power of the number of updates",
            "adaptive": "ReduceLROnPlateau compares with the best epoch by another rule",
            "pa1": "no passive-aggressive step",
            "pa2": "no passive-aggressive step",
        },
    ),
}
#: learning rates at which every loss is stable
RATES = {"sgd": 0.01, "adam": 0.01, "adamw": 0.01, "adagrad": 0.05, "rmsprop": 0.002}
#: each optimizer's options, one run for each
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "sgd": [
        {},
        {"momentum": 0.8},
        {"momentum": 0.8, "nesterov": True},
        {"momentum": 0.8, "dampening": 0.4},
        {"weight_decay": 0.1},
        {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
    ],
    "adam": [{}, {"amsgrad": True}, {"weight_decay": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}],
    "adamw": [{}, {"amsgrad": True, "weight_decay": 0.3}],
    "adagrad": [{}, {"lr_decay": 0.01, "initial_accumulator_value": 0.1}, {"weight_decay": 0.1}],
    "rmsprop": [{}, {"centered": True}, {"momentum": 0.5}, {"centered": True, "momentum": 0.5, "weight_decay": 0.1}],
}


def make_optimizer(name: str, **options: Any) -> optimizers.Optimizer:
    """Return fastgd's optimizer at its rate of RATES."""
    return optimizers.registry[name](**{"lr": RATES[name], **options})


def make_module(
    sizes: Sequence[int], chosen: Sequence[activations.Activation] = (), bias: bool = True, dtype: str = "float64"
) -> nn.Module:
    """Return torch's network of these widths: an nn.Linear, or a Sequential of them with the activations between."""
    torch.manual_seed(0)
    layers = [nn.Linear(n, m, bias=bias, dtype=getattr(torch, dtype)) for n, m in pairwise(sizes)]
    if len(layers) == 1:
        return layers[0]
    hidden = [(layer, ACTIVATIONS[choice.name](choice)) for layer, choice in zip(layers, chosen, strict=False)]
    return nn.Sequential(*(module for pair in hidden for module in pair), layers[-1])


def make_model(sizes: Sequence[int], module: nn.Module, bias: bool = True, activation: Any = "relu") -> fastgd.MLP:
    """Return fastgd's model with copies of the module's parameters."""
    dtype = str(next(module.parameters()).dtype).removeprefix("torch.")
    linear = len(sizes) == 2
    model = fastgd.Linear(*sizes, bias, dtype) if linear else fastgd.MLP(sizes, activation, bias, dtype)
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for number, layer in enumerate(linears):
        model.weights[number][:] = layer.weight.detach().numpy()
        if bias:
            model.biases[number][:] = layer.bias.detach().numpy()
    return model


def flat(module: nn.Module) -> Any:
    """Return all parameters of the module, layer by layer."""
    return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])


@dataclass(frozen=True)
class Run:
    """500 updates that both make: the network, the loss and all that moves the weights."""

    optimizer: optimizers.Optimizer
    loss: losses.Loss = losses.MSE()  # noqa: RUF009 - it has no state
    sizes: tuple[int, ...] = NETWORK
    activation: str | tuple[Any, ...] = "relu"
    bias: bool = True
    batch_size: int = 1
    epochs: int = 5
    probabilities: bool = False  # as targets, in place of labels and classes
    density: float = 1.0  # of X, which fastgd gets as CSR where it is below 1
    method: dict[str, Any] = field(default_factory=dict)  # fastgd's schedule, average, clip_value and clip_norm

    def data(self) -> tuple[Any, Any]:
        """Return X and T; the last batch of an epoch is smaller where batches have several rows."""
        rng = np.random.default_rng(3)
        rows = self.batch_size * (UPDATES // self.epochs) - self.batch_size // 2
        X = rng.normal(size=(rows, self.sizes[0])) * (rng.uniform(size=(rows, self.sizes[0])) < self.density)
        raw = X @ rng.normal(size=(self.sizes[0], self.sizes[-1])) / 2
        if self.probabilities:
            odds = np.exp(raw)
            return X, odds / (odds.sum(axis=1, keepdims=True) if self.loss.coupled else 1 + odds)
        return X, make_targets(self.loss, raw + 0.5 * rng.normal(size=raw.shape), rng)

    def in_fastgd(self, module: nn.Module, X: Any, T: Any) -> Any:
        """Return fastgd's weights after the run from the module's."""
        model = make_model(self.sizes, module, self.bias, self.activation)
        given = X if self.density == 1 else scipy.sparse.csr_array(X)
        fastgd.train(model, given, T, self.loss, self.optimizer, self.epochs, self.batch_size, **self.method)
        return model.params

    def in_torch(self, modules: Sequence[nn.Module], X: Any, T: Any) -> list[Any]:
        """Return torch's weights after the runs of these modules, as a torch user would write them.

        The modules share no parameters, so that one optimizer and one backward pass, which save time, change nothing.
        """
        X, T = torch.from_numpy(X), torch.from_numpy(T)
        criterion, method = LOSSES[self.loss.name](self.loss, self.sizes[-1]), self.method
        options = {f.name: getattr(self.optimizer, f.name) for f in fields(self.optimizer)}
        options = {name: value for name, value in options.items() if value != ()}  # factors, of which there are none
        lazy, choice = options.pop("lazy", False), OPTIMIZERS[self.optimizer.name]
        if lazy:
            choice, options = torch.optim.SparseAdam, {key: options[key] for key in ("lr", "betas", "eps")}
        parameters = [p for module in modules for p in module.parameters()]
        optimizer, schedule = choice(parameters, **options), method.get("schedule")
        scheduler = schedule and SCHEDULES[schedule.name](optimizer, schedule)
        averages = [torch.optim.swa_utils.AveragedModel(module) for module in modules]
        updates = 0
        for _ in range(self.epochs):
            for start in range(0, len(X), self.batch_size):
                x, t = X[start : start + self.batch_size], T[start : start + self.batch_size]
                optimizer.zero_grad()
                sum(criterion(module(x), t) for module in modules).backward()
                for module in modules:
                    if "clip_value" in method:
                        nn.utils.clip_grad_value_(module.parameters(), method["clip_value"])
                    if "clip_norm" in method:
                        nn.utils.clip_grad_norm_(module.parameters(), method["clip_norm"])
                for p in parameters if lazy else ():
                    p.grad = p.grad.to_sparse()
                optimizer.step()
                updates += 1
                if method.get("average") and updates >= method["average"]:
                    for average, module in zip(averages, modules):
                        average.update_parameters(module)
                if schedule and schedule.by == "step":
                    scheduler.step()
            if schedule and schedule.by == "epoch":
                scheduler.step()
        assert updates == UPDATES
        return [flat(module) for module in (averages if method.get("average") else modules)]

    def compare(self) -> tuple[float, float]:
        """Return how far torch's weights are from its own one ulp further, and how far fastgd's are from torch's."""
        chosen = activations.of_layers(self.activation, len(self.sizes) - 2)
        module, (X, T) = make_module(self.sizes, chosen, self.bias), self.data()
        moved, first = copy.deepcopy(module), flat(module)
        with torch.no_grad():
            for p in moved.parameters():
                p.copy_(torch.nextafter(p, torch.tensor(torch.inf, dtype=p.dtype)))
        ours = self.in_fastgd(module, X, T)
        weights, moved_weights = self.in_torch([module, moved], X, T)
        assert relative(weights, first) > 0.01, f"{self} hardly moves"
        return relative(moved_weights, weights), relative(ours, weights)


class Tally:
    """How many runs count, by optimizer."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()

    def judge(self, runs: Sequence[Run]) -> None:
        """Hold fastgd to torch in every run that counts, and most of them to count."""
        compared = [(run, *run.compare()) for run in runs]
        counted = [(run, error) for run, moved, error in compared if moved < STABLE]
        wrong = [f"{error:.1e} {run}" for run, error in counted if not error < TOLERANCE]
        for run in runs:
            self.made[run.optimizer.name] += 1
        for run, _ in counted:
            self.counted[run.optimizer.name] += 1
        assert not wrong, "\n".join(wrong)
        left_out = [f"{moved:.1e} {run}" for run, moved, _ in compared if not moved < STABLE]
        assert len(counted) >= SHARE * len(runs), "\n".join(left_out)

    def __str__(self) -> str:
        made, counted = self.made.total(), self.counted.total()
        by_name = ", ".join(f"{name} {self.counted[name]} of {self.made[name]}" for name in self.made)
        return f"{counted} of {made} runs beside torch count, {made - counted} left out: {by_name}"


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """A module's tally, printed at its end."""
    counts = Tally()
    yield counts
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{request.module.__name__}: {counts}")
