"""Ordered compression: codes whose first numbers say most, one training for every width."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from . import _html, _native
from ._arrays import Numbers, float32, numbers

__all__ = ["Compressor", "compress"]


class Compressor:
    """An encoder and a decoder that serve every width: what `abduce compress train` writes."""

    def __init__(self, native: _native.Compressor, folder: str | os.PathLike[str] | None = None) -> None:
        self._native = native
        # Where the training stands, with its losses; a passing folder goes with the object.
        self.folder = None if folder is None else Path(folder)

    @property
    def latents(self) -> int:
        """Numbers of a whole code."""
        return self._native.latents

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row of data."""
        return tuple(self._native.shape)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of what a code is decoded to."""
        return tuple(self._native.target_shape)

    @property
    def summary(self) -> dict[str, Any]:
        """How it was trained, `held_out` losses at the widths 0 to K, and for squared errors `mean_loss`, the variance."""
        found: dict[str, Any] = json.loads(self._native.summary)
        return found

    @property
    def losses(self) -> dict[str, Any] | None:
        """Everything that was measured, `losses.json`: with those of principal axes, of each width trained alone, …; none of a file alone."""
        path = None if self.folder is None else self.folder / "losses.json"
        return json.loads(path.read_text()) if path is not None and path.exists() else None

    def row_losses(self) -> dict[str, np.ndarray] | None:
        """Held-out losses one by one, `losses.npz`: `losses` (trainings, widths, rows) and `widths`."""
        path = None if self.folder is None else self.folder / "losses.npz"
        if path is None or not path.exists():
            return None
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    def encode(self, x: Any, width: int | None = None, threads: int | None = None) -> Numbers:
        """The first `width` numbers of the codes of rows (n, …): (n, width), all where none is given."""
        return numbers(self._native.encode(float32(x), self.latents if width is None else width, threads=threads))

    def decode(self, codes: Any, width: int | None = None, threads: int | None = None) -> Numbers:
        """Rows (n, …) that codes (n, k) stand for, in the units of the data; `width` opens fewer numbers than there are."""
        codes = np.atleast_2d(float32(codes))
        return numbers(self._native.decode(codes, codes.shape[-1] if width is None else width, threads=threads))

    def losses_of(self, x: Any, widths: Sequence[int] | None = None, target: Any = None, threads: int | None = None) -> Numbers:
        """The loss of every row at each of `widths` (0 to K), (n, widths), on the scale that the networks see."""
        widths = list(range(self.latents + 1)) if widths is None else [int(width) for width in widths]
        return numbers(self._native.losses(float32(x), widths, None if target is None else float32(target), threads=threads))

    def truncate(self, width: int) -> Compressor:
        """A smaller model that holds the first `width` numbers alone; they stay what they were."""
        return Compressor(self._native.truncate(width))

    def report(self, data: Any, columns: str | os.PathLike[str] | None = None) -> Path:
        """Writes `report.html` into the folder of the training: loss against width, reconstructions, walks along the latents, what they mean."""
        from .runs import report

        if self.folder is None or self.losses is None:
            raise _native.ConfigError("there is no folder of a training to write a report into: train with `out`, or load one")
        return report(self.folder, data, columns)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `.safetensors` file that the program reads too."""
        self._native.save(os.fspath(path))

    def __reduce__(self) -> Any:
        return (_of_bytes, (self._native.to_bytes(),))

    def __repr__(self) -> str:
        return f"<Compressor of rows {self.shape} into {self.latents} ordered numbers, head {self._native.head}>"

    def _repr_html_(self) -> str:
        losses = self.summary["held_out"]
        chosen = sorted({width for width in (0, 1, 2, 4, 8, 16, 32) if width < len(losses)} | {len(losses) - 1})
        rows = [(width, float(losses[width])) for width in chosen]
        curve = _html.curves([losses], 0.0 if min(losses) >= 0 else min(losses), max(losses), f"held-out loss by width, 0 to {self.latents}")
        return f"<div><b>Ordered codes</b> of rows {self.shape}{_html.table(('width', 'loss'), rows)}{curve}</div>"


def _of_bytes(content: bytes) -> Compressor:
    native = _native.from_bytes(content)
    assert isinstance(native, _native.Compressor)
    return Compressor(native)


def compress(
    x: Any,
    latents: int = 8,
    *,
    target: Any = None,
    test: Any = None,
    test_target: Any = None,
    hidden: Sequence[int] = (256, 256),
    decoder_hidden: Sequence[int] | None = None,
    conv: Sequence[int] = (),
    activation: str = "SiLU",
    head: str = "mse",
    weights: str | Sequence[float] = "linear",
    schedule: str = "sum",
    scaling: str | None = None,
    epochs: int = 100,
    learning_rate: float = 2e-3,
    batch: int = 125,
    repeats: int = 1,
    separate: Sequence[int] = (),
    grown: bool = False,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Compressor:
    """Trains an information-ordered bottleneck on rows x (n, …); see `abduce compress train --help`.

    Args:
        x: rows of numbers or images.
        latents: most numbers of a code.
        target: what is predicted from the code, where that is not x; classes are whole numbers.
        test: rows to measure the losses on; a tenth of x where none are given.
        test_target: their targets.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse, or `decoder_hidden`. None: linear maps.
        conv: channels of convolutions that halve the images, before the hidden layers.
        activation: of the hidden layers.
        head: mse, bce, cross-entropy, gaussian or flow.
        weights: how much each width counts: linear, geometric:P, log-spaced, or K + 1 numbers.
        schedule: sum, per-sample, stratified or unit-sweep[:TOLERANCE].
        scaling: independent, structured or none; by the shape of the data where not given.
        epochs: over which the learning rate falls.
        learning_rate: the first one.
        batch: rows per step.
        repeats: trainings from different starts, of which the best is kept.
        separate: widths to train for alone as well.
        grown: also grow a code latent by latent.
        seed: of everything.
        out: folder of the training, kept and read by the program.
        threads: all cores where not given.
    """
    import shutil
    import tempfile
    import weakref

    folder = Path(tempfile.mkdtemp(prefix="abduce-") if out is None else os.path.abspath(os.fspath(out)))
    with tempfile.TemporaryDirectory() as files:

        def file(name: str, values: Any) -> str:
            np.save(Path(files) / f"{name}.npy", float32(values))
            return f"{files}/{name}.npy"

        def listed(values: Sequence[Any]) -> str:
            return ",".join(str(value) for value in values) or "none"

        words = [file("x", x), "--out", os.fspath(folder), "-k", str(latents), "--hidden", listed(hidden), "--conv", listed(conv)]
        words += ["--activation", activation, "--head", head, "--schedule", schedule, "--epochs", str(epochs), "--batch", str(batch)]
        words += ["--weights", weights if isinstance(weights, str) else listed(weights)]
        words += ["--learning-rate", str(learning_rate), "--repeats", str(repeats), "--seed", str(seed)]
        for name, values in (("target", target), ("test", test), ("test-target", test_target)):
            words += [] if values is None else [f"--{name}", file(name, values)]
        words += [] if decoder_hidden is None else ["--decoder-hidden", listed(decoder_hidden)]
        words += [] if scaling is None else ["--scaling", scaling]
        words += ["--separate", listed(separate)] if len(separate) else []
        words += ["--grown"] if grown else []
        try:
            trained = Compressor(_native.train_compressor(words, threads=threads), folder)
        except BaseException:
            if out is None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
    if out is None:
        weakref.finalize(trained, shutil.rmtree, folder, ignore_errors=True)
    return trained
