"""What the command line trains: a model with the names and scales of a file's columns, its classes, and its worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import files, losses, table
from fastgd.model import MLP, from_config
from fastgd.table import Standardiser

Array = npt.NDArray[Any]

FORMAT = "fastgd.cli.model"


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model with everything that it needs to predict from a file.

    Attributes
    ----------
    model : MLP
        Trained on standardised columns.
    features, targets : sequences of str
        The names of its d input columns and of its target columns.
    inputs, outputs : Standardiser
        The scaling of the d features and of the K outputs.
    classes : sequence of str or of int, optional
        The sorted values of a target that holds classes.
    """

    model: MLP
    features: Sequence[str]
    targets: Sequence[str]
    inputs: Standardiser
    outputs: Standardiser
    classes: Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        outputs, classes = len(self.targets), self.classes
        if classes is not None:
            kinds = [{type(name) for name in classes} == {kind} for kind in (str, int)]
            if not any(kinds) or len(set(classes)) != len(classes) or outputs != 1:
                raise ValueError(f"{classes!r} are not the classes of {self.targets!r}")
            outputs = 1 if len(classes) == 2 and self.model.out_features == 1 else len(classes)
        if (len(self.features), outputs) != (self.model.in_features, self.model.out_features):
            raise ValueError(f"{len(self.features)} features and {outputs} outputs for {self.model}")

    def raw(self, X: Array) -> Array:
        """Return what the model itself predicts (n, K) for rows X (n, d) in the units of the file."""
        return self.model.predict(self.inputs.apply(X)).reshape(len(X), -1)

    def predict(self, X: Array, kind: str | None = None) -> Array:
        """Return predictions for rows X (n, d), both in the units of the file.

        Parameters
        ----------
        X : array (n, d)
        kind : "raw", "mean", "label" or None
            As in :meth:`MLP.predict`, but the label of a class is its name, and means are the probabilities of all
            classes. None is "label" for classes and where there are no probabilities, else "mean".

        Returns
        -------
        array (n, columns)
            A column for each of :meth:`columns`.
        """
        kind = self._kind(kind)
        y = self.model.predict(self.inputs.apply(X), kind).reshape(len(X), -1)
        if self.classes is None:
            return y if kind == "label" else self.outputs.undo(y)
        if kind == "label":
            return np.array(self.classes, object)[y]
        return np.hstack([1 - y, y]) if kind == "mean" and y.shape[1] == 1 else y

    def columns(self, kind: str | None = None) -> list[str]:
        """Return the names of the columns that :meth:`predict` returns: classes for their probabilities or scores."""
        whole = self.classes is None or self._kind(kind) == "label" or (kind == "raw" and self.model.out_features == 1)
        return [str(name) for name in (self.targets if whole else self.classes or ())]

    def _kind(self, kind: str | None) -> str:
        decides = self.classes is not None or (self.model.loss is not None and self.model.loss.targets == "labels")
        return kind or ("label" if decides else "mean")

    def save(self, path: str) -> None:
        """Write everything to one file, atomically."""
        names = {"features": self.features, "targets": self.targets, "classes": self.classes}
        header = {"model": self.model.config(), **names}
        files.write(path, FORMAT, header, self.model.named_parameters() | self._scaling())

    @classmethod
    def load(cls, path: str) -> Predictor:
        """Read it back; OSError or ValueError say what is wrong with the file."""
        header, arrays = files.read(path, FORMAT)
        try:
            model, features, targets = from_config(header["model"]), header["features"], header["targets"]
            scales = Standardiser.identity(model.in_features), Standardiser.identity(model.out_features)
            blank = cls(model, features, targets, *scales, header.get("classes"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged: its header is not whole: {error}") from None
        for name, value in (model.named_parameters() | blank._scaling()).items():
            value[...] = files.array(path, arrays, name, value)
        return blank

    def _scaling(self) -> dict[str, Array]:
        return {
            "feature_mean": self.inputs.mean,
            "feature_scale": self.inputs.scale,
            "target_mean": self.outputs.mean,
            "target_scale": self.outputs.scale,
        }

    def describe(self) -> dict[str, str]:
        """Return what there is to say of it, by name."""
        described = {
            "model": repr(self.model),
            "loss": repr(self.model.loss),
            "features": ", ".join(self.features),
            "targets": ", ".join(self.targets),
        }
        return described | ({} if self.classes is None else {"classes": ", ".join(map(str, self.classes))})

    def compare(self, loss: losses.Loss, X: Array, T: Array, train: Array, held_out: Array) -> list[str]:
        """Return a line for each target: how well it is predicted, beside the best constant prediction.

        Parameters
        ----------
        loss : Loss
            The one that the model was trained with.
        X, T : arrays (n, d) and (n, columns)
            In the units of the file; labels are 0 and 1, classes their indices.
        train, held_out : arrays of int
            The row numbers from which the constant is taken, and those that are predicted; none give no line.
        """
        if not held_out.size:
            return []
        X, T, train_T = X[held_out], T[held_out], T[train]
        if loss.targets == "classes":
            rates = np.bincount(train_T[:, 0].astype(np.int64), minlength=self.model.out_features) / len(train_T)
            return [self._compare_classes(0, loss, self.raw(X), T, np.log(rates))]
        if loss.targets in ("binary", "labels"):
            raw, rates = self.raw(X), train_T.mean(axis=0)
            base = np.log(rates / (1 - rates)) if loss.targets == "binary" else np.sign(rates - 0.5)
            columns = range(len(self.targets))
            return [self._compare_classes(k, loss, raw[:, [k]], T[:, [k]], base[[k]]) for k in columns]
        of_model, of_constant = table.r2(T, self.predict(X)), table.r2(T, train_T.mean(axis=0))
        return [
            f"held-out R² of {name}: {value:.4f} (the training mean alone: {beside:.4f})"
            for name, value, beside in zip(self.targets, of_model, of_constant, strict=True)
        ]

    def _compare_classes(self, column: int, loss: losses.Loss, raw: Array, t: Array, base: Array) -> str:
        words = []
        for y in (raw, np.broadcast_to(base, raw.shape)):
            accuracy = np.mean(loss.label(y) == (t if loss.targets == "classes" else t > 0.5))
            words.append(f"mean {loss.name} {loss.value(y, t).mean():.4f}, accuracy {accuracy:.4f}")
        return f"held-out {self.targets[column]}: {words[0]} (the base rate alone: {words[1]})"
