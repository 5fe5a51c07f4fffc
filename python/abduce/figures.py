"""Pictures that are drawn already: shown in notebooks, saved as SVG or PNG, handed to matplotlib where it is installed."""

from __future__ import annotations

import io
import os
import sys
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
            from matplotlib.figure import Figure as Bare
        except ImportError as error:
            raise ImportError("matplotlib is not installed: `pip install matplotlib`, or save the figure with `.save('figure.svg')`") from error
        image = matplotlib.image.imread(io.BytesIO(self.png), format="png")
        height, width = image.shape[:2]
        # One of pyplot's where it is in use, so that notebooks and `plt.show` find it.
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        figure: Any = (Bare if pyplot is None else pyplot.figure)(figsize=(width / 200, height / 200), dpi=200)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(image)
        axes.axis("off")
        # The drawing itself, without matplotlib's raster.
        figure.save, figure._repr_svg_ = self.save, self._repr_svg_
        return figure

    def _repr_svg_(self) -> str:
        return self.svg
