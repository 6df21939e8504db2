"""The peer that gives and takes arrays in tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtcrpc import Registry

registry = Registry()


@registry.expose
def frame() -> np.ndarray:
    """A picture, red at the left and green at the right."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32, 0] = 255
    picture[:, 32:, 1] = 255
    return picture


@registry.expose
def wave(n: int = 5000) -> np.ndarray:
    """A sine."""
    return np.sin(np.linspace(0, 20, n))


@registry.expose
def total(a: np.ndarray) -> float:
    """The sum of all items."""
    return float(a.sum())


@registry.expose
def describe(a: Any) -> Any:
    """What came, and the same again."""
    return {"type": type(a).__name__, "dtype": a.dtype.name, "shape": list(a.shape), "array": a}
