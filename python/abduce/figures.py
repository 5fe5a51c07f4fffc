"""Pictures that are drawn already: shown in notebooks, saved as SVG or PNG, handed to matplotlib where it is installed."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

__all__ = ["Figure"]


class Figure:
    """A drawing."""

    def __init__(self, svg: str, png: bytes) -> None:
        self.svg = svg
        self.png = png

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes an `.svg` or `.png` file."""
        path = Path(path)
        if path.suffix == ".svg":
            path.write_text(self.svg)
        elif path.suffix == ".png":
            path.write_bytes(self.png)
        else:
            raise ValueError(f"{path.name}: a figure is saved as .svg or .png")
        return path

    savefig = save

    def matplotlib(self) -> Any:
        """The picture as a matplotlib figure.

        Raises:
            ImportError: matplotlib is not installed; `save` works without it.
        """
        try:
            import matplotlib.image
            from matplotlib.figure import Figure as Matplotlib
        except ImportError as error:
            raise ImportError("matplotlib is not installed: `pip install matplotlib`, or save the figure with `.save('figure.svg')`") from error
        image = matplotlib.image.imread(io.BytesIO(self.png), format="png")
        height, width = image.shape[:2]
        figure = Matplotlib(figsize=(width / 200, height / 200), dpi=200)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(image)
        axes.axis("off")
        # The drawing itself, without matplotlib's raster.
        figure.save = self.save  # type: ignore[attr-defined]
        return figure

    def _repr_svg_(self) -> str:
        return self.svg
