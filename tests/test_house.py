"""The house: imports go down only, files stay small, every example runs, the built modules are as promised."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastgd
from fastgd import _cpu

PACKAGE = Path(fastgd.__file__).parent
ROOT = Path(__file__).parent.parent

#: module by floor; a module imports only from floors below its own
FLOORS = [
    {"_cpu", "_kernels", "registry", "extras", "files", "arrays"},
    {"_load", "losses", "activations", "optimizers", "penalties", "layout", "sparse", "rules"},
    {"targets", "schedules"},
    {"data"},
    {"method", "slices"},
    {"reference"},
    {"codes"},
    {"engine"},
    {"model", "history", "orders", "pieces", "config"},
    {"evaluation", "exchange", "callbacks", "descent", "checkpoint"},
    {"trainer"},
    {"training", "table", "plot", "choices", "classes"},
    {"predictor"},
    {"tasks", "estimators"},
    {"cli"},
]
FLOOR = {module: number for number, floor in enumerate(FLOORS) for module in floor}
FILES = {path: path.stem for path in PACKAGE.glob("*.py")} | {path: path.parent.name for path in PACKAGE.glob("*/*.py")}
MODULES = sorted({name for path, name in FILES.items() if path != PACKAGE / "__init__.py"})


def imports(module):
    """Every fastgd module that the module or package imports, those for type checking alone left out."""
    for path in (path for path, name in FILES.items() if name == module):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fastgd":
                names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fastgd.")]
            else:
                continue
            yield from (name for name in names if name != module)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    for imported in imports(module):
        assert FLOOR[imported] < FLOOR[module], f"{module} imports {imported}"


def test_every_module_has_a_floor():
    assert {*MODULES, "_cpu", "_kernels"} == set(FLOOR)


def test_no_file_is_over_400_lines():
    kinds = ("*.py", "*.pyx", "*.pxi", "*.h", "*.pyi")
    folders = [ROOT / name for name in ("fastgd", "tests", "benchmarks", "examples")]
    files = [path for folder in folders for kind in kinds for path in folder.rglob(kind)]
    assert len(files) > 30
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {name: length for name, length in lengths.items() if length > 400}


def dotted(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", sorted(dotted(path) for path in FILES if path.stem != "_load"))
def test_examples_in_docstrings_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_every_public_name_has_an_example():
    for name in fastgd.__all__:
        thing = getattr(fastgd, name)
        if callable(thing) and name not in ("DivergenceError", "History", "Trace", "Path"):
            assert ">>>" in (thing.__doc__ or ""), name


def python(code, **environment):
    """Run the code in a new interpreter that imports the fastgd of this one, and return what it prints."""
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, cwd="/", timeout=300)
    return done.stdout + done.stderr


TRAIN = """
import hashlib, sys, numpy as np, scipy.sparse, fastgd
sys.path.insert(0, {tests!r})
from passes import make_targets
digest = hashlib.sha256()
rng = np.random.default_rng(0)
def train(sizes, X, T, activation="relu", **choices):
    model = fastgd.MLP(sizes, activation, dtype=X.dtype, seed=1)
    history = fastgd.train(model, X, T, epochs=2, shuffle=True, seed=2, **choices)
    digest.update(model.params.tobytes()); digest.update(np.array(history.loss).tobytes())
for dtype in ("float64", "float32"):
    for name in fastgd.losses.registry:
        loss = fastgd.losses.get(name)
        for K, d in ((1, 1), (1, 7), (3, 33), (1, 100), (2, 260)):
            K = max(K, 2) if loss.coupled else K
            X = rng.normal(size=(200, d)).astype(dtype)
            T = make_targets(loss, (X @ rng.normal(size=(d, K)) / d).astype(dtype), rng)
            train((d, K), X, T, loss=loss, optimizer=fastgd.SGD(lr=0.1 / d), batch_size=1 + K % 2)
    X = rng.normal(size=(200, 37)).astype(dtype)
    T = X[:, :2] - X[:, 2:4]
    sparse = scipy.sparse.csr_array(X * (rng.uniform(size=X.shape) < 0.2))
    for data in (X, sparse):
        for optimizer in fastgd.optimizers.registry:
            train((37, 2), data, T, optimizer=optimizer, average=9)
        for penalty in fastgd.penalties.registry:
            for schedule in ("constant", "invscaling"):
                train((37, 2), data, T, penalty=penalty, schedule=schedule)
    for activation in fastgd.activations.registry:
        train((37, 9, 4, 2), X, T, activation)
    choices = fastgd.schedules
    for schedule in (choices.Optimal(alpha=1.0), choices.InvScaling(0.3), choices.Warmup(by="step")):
        train((37, 2), X / 9, T, schedule=schedule)
print(fastgd.isa, digest.hexdigest())
""".replace("{tests!r}", repr(str(ROOT / "tests")))


@pytest.mark.skipif("avx2" not in _cpu.runnable_levels(), reason="this CPU has only the base level to compare")
def test_base_and_avx2_give_the_same_bytes():
    base, avx2 = (python(TRAIN, FASTGD_ISA=level).split() for level in ("base", "avx2"))
    assert (base[0], avx2[0]) == ("base", "avx2")
    assert base[1] == avx2[1]


def test_a_level_that_cannot_run_is_refused():
    message = python("import fastgd", FASTGD_ISA="avx1024")
    assert "ImportError: FASTGD_ISA='avx1024' cannot be used; this CPU runs" in message


def test_importing_changes_nothing_for_the_process():
    before = "import numpy as np; tiny = np.array([5e-324]); "
    assert python(before + "import fastgd; print((tiny * 1.0)[0] != 0)").strip() == "True"
    loaded = python("import sys, fastgd; print(*sorted(m.partition('.')[0] for m in sys.modules))").split()
    assert not {"torch", "sklearn", "matplotlib", "tqdm", "click", "pyarrow", "pandas", "scipy"} & set(loaded)


def test_sqrt_is_the_only_function_that_the_kernels_take_from_libm():
    built = sorted((PACKAGE / "_isa").glob("*/*.so"))
    assert built
    libm = "exp expf log logf log1p log1pf expm1 expm1f tanh tanhf pow powf sin cos fma fmaf floor rint round nearbyint"
    for path in built:
        content = path.read_bytes()
        names = set(re.findall(rb"\0([a-z0-9_]{3,12})(?=\0)", content))
        assert b"memcpy" in names  # so that the search does find what is taken from libc
        assert not names & {name.encode() for name in libm.split()}, path


def test_the_configuration_says_what_is_in_use():
    config = fastgd.show_config()
    assert config["isa"] == fastgd.isa
    assert "-fno-math-errno" in config["flags"]
    assert config["numpy"] == np.__version__
    for forbidden in ("fast-math", "-Ofast", "march=native"):
        assert forbidden not in config["flags"]


def test_a_missing_extra_names_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"progress=True needs tqdm, .* pip install 'fastgd\[cli\]'"):
        fastgd.train(fastgd.Linear(1, 1), [[1.0]], [1.0], progress=True)
