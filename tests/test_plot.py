from __future__ import annotations

import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import fastgd
from fastgd import plot
from fastgd.history import History

X = np.array([[-1.0], [0.5], [2.0], [3.0]])
T = np.array([-1.5, 2.2, 4.8, 7.1])


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    matplotlib.use("Agg")
    plt.close("all")
    yield
    plt.close("all")


def two_valleys(w):
    return 3 * w**4 - 4 * w**3 - 12 * w**2


def bowl(w):
    return (w[0] - 1) ** 2 + 4 * (w[1] + 2) ** 2


def labelled(ax):
    """The lines of the axes by label, as (x, y) or (x, y, z)."""
    return {line.get_label(): line.get_data_3d() if ax.name == "3d" else line.get_data() for line in ax.lines}


def trained(**choices):
    model = fastgd.Linear(1, 1, seed=0)
    sgd = fastgd.SGD(lr=0.02)
    return model, fastgd.train(model, X, T, loss="sse", optimizer=sgd, epochs=6, **choices)


# ------------------------------------------------------------------------------------------------------- loss curve


def test_loss_curve_holds_the_losses_by_epoch():
    _, history = trained(X_val=X + 1, t_val=T + 2)
    ax = plot.loss_curve(history)
    lines = labelled(ax)
    assert list(lines) == ["training loss", "validation loss"]
    np.testing.assert_array_equal(lines["training loss"], [range(1, 7), history.loss])
    np.testing.assert_array_equal(lines["validation loss"], [range(1, 7), history.val_loss])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(lines)
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_loss_curve_without_validation_and_of_one_epoch():
    _, history = trained()
    assert list(labelled(plot.loss_curve(history))) == ["training loss"]
    history.loss[1:] = []
    (line,) = plot.loss_curve(history).lines
    assert line.get_marker() == "o"  # a line of one point would not be seen


def test_loss_curve_of_nothing_is_refused():
    with pytest.raises(ValueError, match="history has no finished epoch"):
        plot.loss_curve(History(None))
    assert not plt.get_fignums()


# ---------------------------------------------------------------------------------------------------------- tangent


@pytest.mark.parametrize("at", [-1.5, -1.0, 0.3, 2.0, 2.8])
def test_tangent_touches_the_curve_with_its_slope(at):
    ax = plot.tangent(two_valleys, at)
    (curve_label, (w, f)), (label, (x, y)) = labelled(ax).items()
    assert curve_label == "f(w)"
    np.testing.assert_allclose(f, two_valleys(w))
    slope = 12 * at * (at + 1) * (at - 2)
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(slope, rel=1e-7, abs=1e-7)
    assert (x.mean(), y.mean()) == pytest.approx((at, two_valleys(at)))
    assert label.startswith(f"tangent at {at:g}, slope ")
    assert w[0] < x[0] < at < x[1] < w[-1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("w", "f(w)")
    assert ax.get_legend() is not None


def test_tangent_shows_the_visited_points():
    path = fastgd.descend(two_valleys, 0.4, lr=0.01, steps=30)
    for given in path, path.points, list(path.points):
        lines = labelled(plot.tangent(two_valleys, path.points[2], given))
        w, f = lines["visited points"]
        np.testing.assert_array_equal(w, path.points)
        np.testing.assert_array_equal(f, path.values)
        left, right = lines["f(w)"][0][[0, -1]]
        assert left < path.points.min() < path.points.max() < right


def test_tangent_is_as_long_in_the_picture_however_steep():
    lengths = []
    for slope in (0.01, 1.0, 1000.0):
        (w, f), (x, y) = labelled(plot.tangent(lambda w, a=slope: a * w, 0.0)).values()
        lengths.append(np.hypot(np.ptp(x) / np.ptp(w), np.ptp(y) / np.ptp(f)))
    assert lengths == pytest.approx([0.3] * 3)


def test_tangent_between_limits_and_of_a_flat_function():
    (w, _), _ = labelled(plot.tangent(lambda w: 3.0, 1.0, limits=(-2, 5))).values()
    assert (w[0], w[-1]) == (-2, 5)


def test_tangent_leaves_out_what_is_not_finite():
    ax = plot.tangent(lambda w: np.log(w) if w > 0 else -np.inf, 0.5)
    w, f = ax.lines[0].get_data()
    np.testing.assert_array_equal(np.isnan(f), w <= 0)
    with pytest.raises(FloatingPointError, match=r"no tangent at=-1\.0: f is -inf"):
        plot.tangent(lambda w: np.log(w) if w > 0 else -np.inf, -1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"at": [1.0]}, TypeError, "at="),
        ({"at": float("nan")}, ValueError, "at=nan"),
        ({"path": [[1.0, 2.0]]}, ValueError, r"path has shape \(1, 2\); allowed is \(m,\)"),
        ({"path": []}, ValueError, r"path has shape \(0,\)"),
        ({"path": [1.0, float("inf")]}, ValueError, "path has points that are not finite"),
        ({"path": ["a"]}, TypeError, "path must hold real numbers"),
        ({"limits": (2, 1)}, ValueError, r"limits=\(2, 1\) must be \(low, high\)"),
        ({"limits": (1, 1)}, ValueError, "limits="),
        ({"limits": (0, float("inf"))}, ValueError, "limits="),
        ({"limits": (0, 1, 2)}, ValueError, "limits="),
        ({"limits": ("a", "b")}, TypeError, "limits must hold real numbers"),
        ({"f": lambda w: None}, TypeError, "f must return one real number"),
    ],
)
def test_tangent_refuses(change, error, message):
    with pytest.raises(error, match=message):
        plot.tangent(**({"f": two_valleys, "at": 1.0} | change))
    assert not plt.get_fignums()


# --------------------------------------------------------------------------------------------------------- surfaces


def test_contour_holds_the_path():
    path = fastgd.descend(bowl, [3.0, 0.0], lr=0.05, steps=25)
    ax = plot.surface(bowl, path)
    lines = labelled(ax)
    assert list(lines) == ["path", "start", "end"]
    np.testing.assert_array_equal(np.transpose(lines["path"]), path.points)
    np.testing.assert_array_equal(np.transpose(lines["start"]), path.points[:1])
    np.testing.assert_array_equal(np.transpose(lines["end"]), path.points[-1:])
    for limits, points in zip((ax.get_xlim(), ax.get_ylim()), path.points.T, strict=True):
        assert limits[0] < points.min() < points.max() < limits[1]
    assert ax.get_legend() is not None
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$w_1$", "$w_2$")


def test_contour_lines_lie_where_the_function_has_their_level():
    ax = plot.surface(bowl, limits=((-2, 4), (-4, 0)))
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 4), (-4, 0))
    filled, lines = ax.collections
    assert filled.levels[0] == pytest.approx(0, abs=0.02)
    assert filled.levels[-1] == pytest.approx(9 + 16)
    checked = 0
    for level, outline in zip(lines.levels, lines.get_paths(), strict=True):
        if len(outline.vertices) and level > 0.5:
            np.testing.assert_allclose([bowl(w) for w in outline.vertices], level, atol=0.02)
            checked += 1
    assert checked > 10


def test_surface_in_perspective_holds_path_and_heights():
    path = fastgd.descend(bowl, [3.0, 0.0], lr=0.05, steps=25)
    ax = plot.surface(bowl, path, kind="surface")
    assert ax.name == "3d"
    x, y, z = labelled(ax)["path"]
    np.testing.assert_array_equal(np.transpose([x, y]), path.points)
    np.testing.assert_allclose(z, path.values)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()) == ("$w_1$", "$w_2$", "f")
    ax = plot.surface(bowl, kind="surface", limits=((-2, 4), (-4, 0)))
    assert ax.get_zlim() == pytest.approx((0, 9 + 16), abs=1)


def test_path_outside_the_limits_is_left_out_of_the_perspective():
    path = [[0.0, 0.0], [1.0, -2.0], [9.0, 0.0]]
    *_, z = labelled(plot.surface(bowl, path, "surface", limits=((-1, 2), (-3, 1))))["path"]
    np.testing.assert_array_equal(z, [17, 0, np.nan])


@pytest.mark.parametrize("kind", ["contour", "surface"])
def test_without_a_path_the_box_is_one_on_either_side(kind):
    seen = []
    ax = plot.surface(lambda w: seen.append(w) or w @ w, kind=kind)
    assert not ax.lines
    assert np.min(seen, axis=0).tolist() == [-1, -1]
    assert np.max(seen, axis=0).tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["contour", "surface"])
@pytest.mark.parametrize(
    "f",
    [lambda w: 3.0, lambda w: 1e300 * w[0], lambda w: np.log(w[0]) if w[0] > 0 else np.inf, lambda w: 1 + 1e-15 * w[0]],
)
def test_flat_steep_and_half_defined_functions_are_drawn(f, kind):
    plot.surface(f, [[0.5, 0.5]], kind).figure.canvas.draw()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kind": "map"}, ValueError, "kind='map' is not known; allowed are 'contour', 'surface'"),
        ({"path": [1.0, 2.0]}, ValueError, r"path has shape \(2,\); allowed is \(m, 2\)"),
        ({"path": np.ones((4, 3))}, ValueError, r"path has shape \(4, 3\)"),
        ({"path": np.ones((0, 2))}, ValueError, r"path has shape \(0, 2\)"),
        ({"path": [[1.0, float("nan")]]}, ValueError, "path has points that are not finite"),
        ({"limits": (0, 1)}, ValueError, r"limits=\(0, 1\) must be \(\(low, high\), \(low, high\)\)"),
        ({"limits": ((0, 1), (1, 0))}, ValueError, "limits="),
        ({"limits": ((0, 1), (0, float("nan")))}, ValueError, "limits="),
        ({"f": lambda w: w}, TypeError, "f must return one real number"),
        ({"f": lambda w: float("inf")}, FloatingPointError, "f is not finite anywhere between -1 and 1 by -1 and 1"),
    ],
)
def test_surface_refuses(change, error, message):
    with pytest.raises(error, match=message):
        plot.surface(**({"f": bowl} | change))
    assert not plt.get_fignums()


def test_surface_needs_axes_in_three_dimensions():
    with pytest.raises(ValueError, match='projection="3d"'):
        plot.surface(bowl, kind="surface", ax=Figure().subplots())


# ----------------------------------------------------------------------------------------------------- loss surface


@pytest.mark.parametrize("loss", ["sse", "huber"])
def test_loss_surface_holds_the_trace_at_the_mean_losses(loss):
    model, history = trained(trace=True)
    before = model.params.copy()
    ax = plot.loss_surface(model, X, T, loss, history.trace.params, kind="surface")
    w1, w2, z = labelled(ax)["path"]
    np.testing.assert_array_equal(np.transpose([w1, w2]), history.trace.params)
    residual = np.outer(w1, X[:, 0]) + w2[:, None] - T
    size = np.abs(residual)
    losses = {"sse": residual**2, "huber": np.where(size <= 1, residual**2 / 2, size - 0.5)}
    np.testing.assert_allclose(z, losses[loss].mean(axis=1), rtol=1e-12)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()) == ("weight $w_1$", "bias $w_2$", "mean loss")
    np.testing.assert_array_equal(model.params, before)


def test_loss_surface_from_above_has_its_lowest_level_at_least_squares():
    model, _ = trained()
    ax = plot.loss_surface(model, X, T, limits=((1, 3), (-1, 2)))
    design = np.column_stack([X[:, 0], np.ones(4)])
    (best, rest, *_) = np.linalg.lstsq(design, T)
    outline = next(p.vertices for p in ax.collections[1].get_paths() if len(p.vertices))
    np.testing.assert_allclose(outline.mean(axis=0), best, atol=0.1)
    assert ax.collections[1].levels[0] == pytest.approx(rest[0] / 4, abs=0.01)


def test_loss_surface_of_two_weights_without_a_bias():
    model = fastgd.Linear(2, 1, bias=False, dtype="float32", seed=0)
    path = fastgd.descend(lambda w: np.mean((w - [1, 2]) ** 2), [0.0, 0.0], lr=0.1, steps=9)
    ax = plot.loss_surface(model, np.eye(2), [1, 2], path=path)
    np.testing.assert_array_equal(np.transpose(labelled(ax)["path"]), path.points)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$w_1$", "$w_2$")


def test_loss_surface_without_a_path_is_drawn_around_the_model():
    model, _ = trained()
    ax = plot.loss_surface(model, X, T)
    w1, w2 = model.params
    assert ax.get_xlim() == pytest.approx((w1 - 1, w1 + 1))
    assert ax.get_ylim() == pytest.approx((w2 - 1, w2 + 1))
    assert not ax.lines


@pytest.mark.parametrize(
    "model", [fastgd.Linear(1, 1, bias=False), fastgd.Linear(2, 1), fastgd.Linear(1, 2), fastgd.Linear(3, 1)]
)
def test_models_of_another_number_of_parameters_are_refused(model):
    message = rf"model=Linear\(.*\) has {model.params.size} parameters; a surface needs two"
    with pytest.raises(ValueError, match=message):
        plot.loss_surface(model, np.ones((3, model.in_features)), np.ones((3, model.out_features)))
    assert not plt.get_fignums()


def test_loss_surface_refuses_what_evaluate_refuses():
    model = fastgd.Linear(1, 1, seed=0)
    with pytest.raises(ValueError, match="loss='cube' is not known"):
        plot.loss_surface(model, X, T, "cube")
    with pytest.raises(ValueError, match=r"t has shape \(3,\)"):
        plot.loss_surface(model, X, T[:3])
    assert not plt.get_fignums()


# ------------------------------------------------------------------------------------------------------- everything

CALLS = {
    "loss_curve": lambda ax=None: plot.loss_curve(trained()[1], ax=ax),
    "surface": lambda ax=None: plot.surface(bowl, [[1.0, 1.0], [0.0, 0.0]], ax=ax),
    "loss_surface": lambda ax=None: plot.loss_surface(fastgd.Linear(1, 1, seed=0), X, T, ax=ax),
    "tangent": lambda ax=None: plot.tangent(two_valleys, 1.0, ax=ax),
}


def test_every_function_is_called_here():
    assert set(CALLS) == set(plot.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_axes_that_are_given_are_drawn_on(name):
    ax = Figure().subplots()
    assert CALLS[name](ax) is ax
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", CALLS)
def test_a_new_figure_is_made_and_nothing_is_shown(name, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("shown"))
    monkeypatch.setattr(matplotlib, "use", lambda *_, **__: pytest.fail("switched"))
    first, second = CALLS[name](), CALLS[name]()
    assert first.figure is not second.figure
    assert len(plt.get_fignums()) == 2
    assert plt.get_backend().lower() == "agg"
    first.figure.canvas.draw()


@pytest.mark.parametrize("name", CALLS)
def test_missing_matplotlib_is_named_with_the_command_that_brings_it(name, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"fastgd\.plot needs matplotlib, .* pip install 'fastgd\[plot\]'"):
        CALLS[name]()
