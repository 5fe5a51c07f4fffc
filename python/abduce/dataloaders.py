"""Where simulations come from: arrays, files, or a simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Iterable

import numpy as np

from ._arrays import float32, numbers
from ._config import from_yaml
from .simulate import Failure, simulate_rows

__all__ = ["NumpyLoader", "SBISimulator", "StaticNumpyLoader", "SummarizerDatasetLoader", "TorchLoader"]


class _Loader:
    """x, θ, an observation and the parameters that made it."""

    x: Any
    theta: Any
    xobs: Any = None
    thetafid: Any = None

    @classmethod
    def from_config(cls, config_path: str | Path, **overrides: Any) -> Any:
        """From a YAML file; overrides are merged into it."""
        return cls(**from_yaml(config_path, **overrides))

    def __len__(self) -> int:
        return 0 if self.x is None else len(self.x)

    def get_all_data(self) -> Any:
        return self.x

    def get_all_parameters(self) -> Any:
        return self.theta

    def get_obs_data(self) -> Any:
        return self.xobs

    def get_fid_parameters(self) -> Any:
        return self.thetafid


class NumpyLoader(_Loader):
    """Arrays in memory."""

    def __init__(self, x: Any, theta: Any, xobs: Any = None, thetafid: Any = None) -> None:
        if len(x) != len(theta):
            raise ValueError(f"x has {len(x)} rows and theta has {len(theta)}: they belong together row by row")
        self.x, self.theta, self.xobs, self.thetafid = x, theta, xobs, thetafid


def _read(folder: Path, name: str | None) -> np.ndarray | None:
    """An array of numbers; pickled objects are refused."""
    return None if name is None else np.load(folder / name, allow_pickle=False)


class StaticNumpyLoader(NumpyLoader):
    """Arrays in `.npy` files."""

    def __init__(self, in_dir: str | Path, x_file: str, theta_file: str, xobs_file: str | None = None, thetafid_file: str | None = None) -> None:
        folder = Path(in_dir)
        x, theta = _read(folder, x_file), _read(folder, theta_file)
        super().__init__(x, theta, _read(folder, xobs_file), _read(folder, thetafid_file))
        self.in_dir = folder


class SBISimulator(_Loader):
    """A simulator for sequential engines: `simulate(proposal)` draws `num_simulations` parameters and keeps what it simulates.

    With `workers` it is called row by row in parallel processes; rows that raise are NaN, left out of the training, and listed in `failures`.
    """

    def __init__(
        self,
        in_dir: str | Path,
        xobs_file: str,
        num_simulations: int,
        simulator: Callable[[np.ndarray], Any] | None = None,
        save_simulated: bool = False,
        x_file: str | None = None,
        theta_file: str | None = None,
        thetafid_file: str | None = None,
        workers: int = 1,
    ) -> None:
        if save_simulated and (x_file is None or theta_file is None):
            raise ValueError("save_simulated needs x_file and theta_file")
        self.in_dir = Path(in_dir)
        self.xobs, self.thetafid = _read(self.in_dir, xobs_file), _read(self.in_dir, thetafid_file)
        self.num_simulations = int(num_simulations)
        self.simulator = simulator
        # Simulations that raised, with `workers`: their number over all calls, and the message.
        self.failures: list[Failure] = []
        self.save_simulated, self.x_file, self.theta_file, self.workers = save_simulated, x_file, theta_file, workers
        there = all(name is not None and (self.in_dir / name).exists() for name in (x_file, theta_file))
        self.x, self.theta = (_read(self.in_dir, x_file), _read(self.in_dir, theta_file)) if there else (None, None)

    def set_simulator(self, simulator: Callable[[np.ndarray], Any]) -> None:
        """f: θ (n, d) → x (n, …)."""
        self.simulator = simulator

    def simulate(self, proposal: Any) -> tuple[np.ndarray, np.ndarray]:
        """θ and x of `num_simulations` draws of the proposal, which are kept with the earlier ones."""
        theta = float32(proposal.sample((self.num_simulations,)))
        x = self.simulate_at(theta)
        self.keep(theta, x)
        return numbers(theta), numbers(x)

    def simulate_at(self, theta: np.ndarray) -> np.ndarray:
        """x of given parameters."""
        if self.simulator is None:
            raise ValueError("there is no simulator: call `set_simulator` first")
        if self.workers > 1:
            x, failures = simulate_rows(self.simulator, theta, workers=self.workers)
            self.failures.extend((len(self) + row, message) for row, message in failures)
            return x
        return float32(self.simulator(theta))

    def keep(self, theta: np.ndarray, x: np.ndarray) -> None:
        """Adds simulations to those that there are, in the files too where that is wanted."""
        self.theta = theta if self.theta is None else np.concatenate([self.theta, theta])
        self.x = x if self.x is None else np.concatenate([self.x, x])
        if self.save_simulated and self.x_file and self.theta_file:
            np.save(self.in_dir / self.theta_file, self.theta)
            np.save(self.in_dir / self.x_file, self.x)


class SummarizerDatasetLoader(_Loader):
    """Summaries in one netCDF file per simulation, `{in_dir}/{x_root}_node{i}.nc`; needs the package xarray."""

    def __init__(
        self,
        in_dir: str | Path,
        stage: str,
        x_root: str,
        theta_file: str,
        train_test_split_file: str,
        param_names: list[str],
        xobs_file: str | None = None,
        thetafid_file: str | None = None,
    ) -> None:
        try:
            import xarray
        except ImportError as error:
            raise ImportError("reading netCDF files needs the package xarray: `pip install xarray netcdf4`") from error
        folder = Path(in_dir)
        rows = json.loads((folder / train_test_split_file).read_text())[stage]
        lines = [line.split() for line in (folder / theta_file).read_text().splitlines() if line.strip()]
        header = [name.lstrip("#") for name in lines[0] if name != "#"]
        columns = [header.index(name) for name in param_names]
        table = np.array([[float(value) for value in line] for line in lines[1:]])
        self.theta = table[np.ix_(rows, columns)]

        def flattened(row: int) -> np.ndarray:
            with xarray.open_dataarray(folder / f"{x_root}_node{row}.nc") as summary:
                return np.array(summary.values).ravel()

        self.x = np.stack([flattened(row) for row in rows])
        self.xobs, self.thetafid = _read(folder, xobs_file), _read(folder, thetafid_file)


class TorchLoader(_Loader):
    """Any iterable of batches (x, θ); what is read is kept in memory."""

    def __init__(self, train_loader: Iterable[Any], val_loader: Iterable[Any] | None = None, xobs: Any = None, thetafid: Any = None) -> None:
        def joined(loader: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
            batches = [(float32(x), float32(theta)) for x, theta in loader]
            return np.concatenate([x for x, _ in batches]), np.concatenate([theta for _, theta in batches])

        self.x, self.theta = joined(train_loader)
        self.split: dict[str, list[int]] | None = None
        if val_loader is not None:
            x, theta = joined(val_loader)
            n = len(self.x)
            self.split = {"train": list(range(n)), "val": list(range(n, n + len(x)))}
            self.x, self.theta = np.concatenate([self.x, x]), np.concatenate([self.theta, theta])
        self.xobs, self.thetafid = xobs, thetafid
