"""Gradient descent, from one slope to a torch program and its fastgd twin, step by step and with pictures.

python examples/lesson.py [FOLDER]; it needs matplotlib: pip install 'fastgd[plot]'. Each chapter is a function: its
docstring is printed, then what it works out; its picture is written into FOLDER, or without one into docs/images.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import fastgd
from fastgd import plot

rng = np.random.default_rng(0)  # twenty samples in a random order: on the line t = 2x + 1, and scattered around it
X = rng.permutation(np.linspace(-1, 2, 20)).reshape(-1, 1)
ON_LINE = 2 * X[:, 0] + 1
SCATTERED = ON_LINE + 0.3 * rng.standard_normal(20)


def slope() -> None:
    """Take the slope.

    A model f = w1 x + w2, one sample x with its target t, and the loss C = (f - t)^2, zero when f hits the target.
    How does C change when a weight changes a little? The chain rule gives the slopes below. To move each weight a
    little and look (the numerical slope) must give the same, and so must fastgd.

        dC/dw1 = 2 (w1 x + w2 - t) x        dC/dw2 = 2 (w1 x + w2 - t)
    """
    w, x, t = np.array([0.5, -1.0]), 3.0, 2.0
    error = w[0] * x + w[1] - t
    numerical = fastgd.descend(lambda w: (w[0] * x + w[1] - t) ** 2, w, lr=0, steps=0).slopes[0]
    loss, gradient = fastgd.gradient(line_model(*w), [x], [t], loss="sse")
    print(f"w1 = {w[0]}, w2 = {w[1]}, x = {x}, t = {t}:  f = {w[0] * x + w[1]}, C = {loss}\n")
    print(f"{'':8}{'by hand':>12}{'numerical':>14}{'fastgd':>12}")
    print(f"dC/dw1  {2 * error * x:12.6f}{numerical[0]:14.8f}{gradient['weight'][0, 0]:12.6f}")
    print(f"dC/dw2  {2 * error:12.6f}{numerical[1]:14.8f}{gradient['bias'][0]:12.6f}")


def step() -> None:
    """Take a step, and another.

    The slope points uphill, so go the other way: w <- w - lr dC/dw for every weight, with a learning rate lr, here
    0.05. Then the next sample, which meets the new weights. They lie on t = 2x + 1: w should come to (2, 1).
    """
    w1, w2, by_hand = -1.0, -1.0, []
    print("step       x       t |       w1       w2 |        C    dC/dw1    dC/dw2")
    for i, (x, target) in enumerate(zip(X[:, 0], ON_LINE, strict=True)):
        by_hand.append((w1, w2))
        error = w1 * x + w2 - target
        slope1, slope2 = 2 * error * x, 2 * error
        if i < 6:
            print(f"{i:4}{x:8.3f}{target:8.3f} |{w1:9.4f}{w2:9.4f} |{error**2:9.4f}{slope1:10.4f}{slope2:10.4f}")
        w1, w2 = w1 - 0.05 * slope1, w2 - 0.05 * slope2
    print(f" ...  and after all {len(X)} samples w = ({w1:.4f}, {w2:.4f})\n")
    print("fastgd.train(model, X, t, loss='sse', optimizer=fastgd.SGD(lr=0.05), trace=True) walks the same way:")
    print(f"largest difference between the two paths {np.abs(walk(ON_LINE, lr=0.05)[:-1] - by_hand).max():.0e}")


def learning_rates() -> Figure:
    """Choose the learning rate.

    The samples now scatter around the line, and training visits each of them 100 times. How near does it come
    to the best line of all, with learning rates from 1e-6 to 1?
    """
    line = np.polyfit(X[:, 0], SCATTERED, 1)
    best = fastgd.evaluate(line_model(*line), X, SCATTERED, "sse")
    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    ax = figure.subplots()
    print("      lr |   mean loss after 0, 1, 10 and 100 epochs    |      w1      w2")
    for power in range(-6, 1):
        lr, model, failure = 10.0**power, line_model(), ""
        trainer = fastgd.Trainer(model, "sse", fastgd.SGD(lr))
        losses = [fastgd.evaluate(model, X, SCATTERED, "sse")]
        try:
            while len(losses) <= 100:
                trainer.run(X, SCATTERED)
                losses.append(fastgd.evaluate(model, X, SCATTERED, "sse"))
        except fastgd.DivergenceError as error:
            failure = str(error)
        shown = "".join(f"{losses[epoch]:11.4g}" for epoch in (0, 1, 10, 100) if epoch < len(losses))
        print(f"{lr:8.0e} |{shown:44}  |", "diverged" if failure else "{:7.3f} {:7.3f}".format(*model.params))
        colour = "tab:red" if failure else (0.1, 0.15 + (power + 6) / 7, 0.7)
        ax.plot(np.clip(losses, None, 1e6), label=f"lr = {lr:.0e}", color=colour)
    print(f"the best |{best:44.4g}  | {line[0]:7.3f} {line[1]:7.3f}\n")
    print("Up to 1e-4 it crawls, at 1e-2 it arrives, at 1e-1 it is quick, but each sample pulls the line about and it")
    print("stays above the best. At 1 each step overshoots by more than the last, until fastgd raises DivergenceError:")
    print(f"{failure.replace('; ', ';' + chr(10))}")
    ax.axhline(best, color="black", linestyle=":", label="best line")
    ax.set(xlabel="epoch", ylabel="mean loss", yscale="log", ylim=(best / 2, 1e3), title="Seven learning rates")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def dimensions() -> Figure:
    """Add dimensions.

    With d inputs and K outputs the weights are a matrix W (K, d) and a vector b (K), random at the start, from a
    seed. Each sample x with target t takes four lines; here d = 3, K = 2 and lr = 0.05.
    """
    model = fastgd.Linear(3, 2, seed=1)
    x, t = np.array([1.0, -0.5, 2.0]), np.array([0.5, -1.0])
    loss, gradient = fastgd.gradient(model, x, t, loss="sse")
    print(f"start                                W = {show(model.weight)}, b = {show(model.bias)}")
    print(f"forward   y = W x + b                y = {show(model(x))} for t = {show(t)}")
    print(f"loss      C = sum_k (y_k - t_k)^2    C = {loss:.3f}")
    print(f"gradient  dC/dW_kj = 2(y_k - t_k)x_j     {show(gradient['weight'])}")
    print(f"          dC/db_k  = 2(y_k - t_k)        {show(gradient['bias'])}")
    numerical = fastgd.descend(lambda w: ((w[:6].reshape(2, 3) @ x + w[6:] - t) ** 2).sum(), model.params, 0, 0)
    difference = np.abs(np.append(gradient["weight"], gradient["bias"]) - numerical.slopes[0]).max()
    print(f"          (largest difference from the numerical slopes of all eight weights {difference:.0e})")
    fastgd.Trainer(model, loss="sse", optimizer=fastgd.SGD(lr=0.05)).step(x, t)
    print(f"update    W <- W - lr dC/dW          W = {show(model.weight)}, b = {show(model.bias)}")
    print(f"loss      of this sample now         C = {fastgd.evaluate(model, [x], [t], 'sse'):.3f}")

    rows = rng.standard_normal((300, 3))
    T = rows @ [[1.0, 0.0], [-2.0, 1.0], [0.5, 3.0]] + [0.0, 1.0] + 0.3 * rng.standard_normal((300, 2))
    history = fastgd.train(model, rows[:200], T[:200], "sse", fastgd.SGD(1e-3), 25, X_val=rows[200:], t_val=T[200:])
    print(f"\n200 more samples: mean loss {history.loss[0]:.2f} in epoch 1 and {history.loss[-1]:.3f} in epoch 25,")
    print(f"where it is {history.val_loss[-1]:.3f} on 100 samples that training has not seen.")
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    plot.loss_curve(history, figure.subplots()).set(yscale="log", title="Three inputs, two outputs")
    return figure


def minima() -> Figure:
    """Find a minimum, which need not be the lowest.

    Gradient descent knows the slope under its feet and nothing else. f(w) = 3w^4 - 4w^3 - 12w^2 has a valley at
    w = -1, where f = -5, and a deeper one at w = 2, where f = -32; between them is a hill at w = 0.
    """
    f = np.polynomial.Polynomial([0, 0, -12, -4, 3])
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for ax, start, name in zip(figure.subplots(1, 2, sharey=True), (-0.2, 0.2), ("local", "global"), strict=True):
        path = fastgd.descend(f, start, lr=0.02, steps=40)
        print(f"from w = {start:+} to w = {path.points[-1]:+.4f}, where f = {path.values[-1]:+.4f}: the {name} minimum")
        plot.tangent(f, path.points[3], path, limits=(-2, 3), ax=ax).set_title(f"Start {start:+}: {name} minimum")
    return figure


def loss_surface() -> Figure:
    """Look at the loss surface.

    Over two weights the mean loss is a landscape. With one sample a step the way down is crooked, as each sample
    knows only a part of it. With all 20 a step (classical gradient descent) it is smooth, but a step then costs
    as much as 20 of the others. Five epochs with lr = 0.02:
    """
    single, whole = walk(SCATTERED, lr=0.02, epochs=5), walk(SCATTERED, lr=0.02, epochs=5, batch_size=20)
    for name, path in ("one sample a step", single), ("all samples a step", whole):
        loss = fastgd.evaluate(line_model(*path[-1]), X, SCATTERED, "sse")
        print(f"{name:18} {len(path) - 1:3} steps to w = {show(path[-1])}, mean loss {loss:6.3f}")
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
    plot.loss_surface(line_model(), X, SCATTERED, "sse", single, ax=left)
    left.lines[0].set_label("one sample a step")
    left.plot(*whole.T, color="black", marker=".", linewidth=1, label="all samples a step")
    left.legend()
    plot.loss_surface(line_model(), X, SCATTERED, "sse", single, kind="surface", ax=right)
    return figure


def torch_twin() -> None:
    """Set fastgd beside torch.

    nn.Linear(4, 2), one sample [0.8, 0.4, 0.4, 0.2] with label [1, 0], MSELoss ('mse': the mean over the
    outputs), SGD with lr 0.1, ten epochs in float32, both from the same random weights.
    """
    runs = {"fastgd": list(fastgd_program())}
    try:
        runs["torch"] = list(torch_program())
    except ImportError:
        print("torch is not installed, so here is fastgd's column alone; pip install torch brings the other.\n")
    print("epoch" + "".join(f" | {name + ' loss, outputs':27}" for name in runs))
    for epoch in range(10):
        print(f"{epoch:5}" + "".join(f" | {run[epoch][0]:.8f}  {show(run[epoch][1:3])}" for run in runs.values()))
    for name, run in runs.items():
        print(f"{name:6}  last dC/dW = {show(run[-1][3:11].reshape(2, 4))}, dC/db = {show(run[-1][11:13])}")
    if "torch" in runs:
        difference = np.abs(np.subtract(runs["fastgd"], runs["torch"])).max()
        print(f"\nlargest difference in losses, outputs, gradients and weights: {difference:.1e}")


def torch_program() -> Iterator[Any]:
    """Train with torch; for each epoch the loss, the outputs, the gradients and the new weights."""
    import torch

    model, start = torch.nn.Linear(4, 2), fastgd.Linear(4, 2, dtype="float32", seed=0)
    model.load_state_dict({name: torch.tensor(value) for name, value in start.named_parameters().items()})
    x, t = torch.tensor([0.8, 0.4, 0.4, 0.2]), torch.tensor([1.0, 0.0])
    criterion, optimizer = torch.nn.MSELoss(), torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(10):
        y = model(x)
        loss = criterion(y, t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        numbers: list[Any] = [loss, y, model.weight.grad, model.bias.grad, model.weight, model.bias]
        yield torch.cat([part.detach().ravel() for part in numbers]).numpy()


def fastgd_program() -> Iterator[Any]:
    """Train with fastgd; the same numbers for each epoch."""
    model = fastgd.Linear(4, 2, dtype="float32", seed=0)
    x, t = np.array([0.8, 0.4, 0.4, 0.2], np.float32), np.array([1.0, 0.0], np.float32)
    trainer = fastgd.Trainer(model, loss="mse", optimizer=fastgd.SGD(lr=0.1))
    for _ in range(10):
        y = model(x)
        _, gradient = fastgd.gradient(model, x, t)  # y and this are to look at: step needs neither
        loss = trainer.step(x, t)
        yield np.hstack([loss, y, gradient["weight"].ravel(), gradient["bias"], model.params])


def line_model(w1: float = -1.0, w2: float = -1.0) -> fastgd.Linear:
    """Make the model f = w1 x + w2."""
    model = fastgd.Linear(1, 1)
    model.weight, model.bias = [[w1]], [w2]
    return model


def walk(t: Any, lr: float, epochs: int = 1, batch_size: int = 1) -> Any:
    """Train f = w1 x + w2 and return its weights at the start and after every step."""
    model = line_model()
    history = fastgd.train(model, X, t, "sse", fastgd.SGD(lr), epochs, batch_size, trace=True)
    assert history.trace is not None
    return np.vstack([history.trace.params, model.params])


def show(numbers: Any) -> str:
    """Write numbers on one line."""
    return np.array2string(np.asarray(numbers), precision=3, floatmode="fixed", sign=" ").replace("\n", "")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for number, chapter in enumerate((slope, step, learning_rates, dimensions, minima, loss_surface, torch_twin), 1):
        print(f"\n{'-' * 110}\n{number}. {inspect.getdoc(chapter)}\n")
        picture = chapter()
        if picture is not None:
            file = folder / f"{chapter.__name__}.png"
            picture.savefig(file, dpi=100)
            Image.open(file).convert("RGB").quantize().save(file, optimize=True)  # to keep it small
            print(f"\nPicture: {file.name}")
