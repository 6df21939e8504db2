"""From what the command line names to a registry: `robot.py`, `package.module` or `package.module:registry`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtcrpc.service.registry import Registry

__all__ = ["load_registry"]


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a Python file, or module:registry")
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: expected a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, as the import system does: dataclasses and pydantic look their module up by name.
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    spec.loader.exec_module(module)
    return module


def load_registry(what: str) -> tuple[Registry, str]:
    """The registry that `what` names, and a name for the peer that offers it. Raises `ValueError` where there is none."""
    from rtcrpc.service.registry import Registry

    target, colon, attribute = what.rpartition(":") if not Path(what).exists() else (what, "", "")
    if not colon:
        target, attribute = what, ""
    if target.endswith(".py") or "/" in target or "\\" in target:
        module = _module_of_file(Path(target))
    else:
        sys.path.insert(0, "")
        try:
            module = importlib.import_module(target)
        except ModuleNotFoundError as error:
            if error.name is not None and target.startswith(error.name):
                raise ValueError(
                    f"{what}: no such file or module; expected robot.py, or package.module:registry"
                ) from None
            raise
    name = module.__name__.rpartition(".")[2]
    if attribute:
        registry = getattr(module, attribute, None)
        if not isinstance(registry, Registry):
            raise ValueError(f"{what}: expected {attribute} to be a rtcrpc.Registry, got {type(registry).__name__}")
        return registry, name
    found = [value for value in vars(module).values() if isinstance(value, Registry)]
    if len(found) > 1:
        names = ", ".join(key for key, value in vars(module).items() if isinstance(value, Registry))
        raise ValueError(f"{what}: holds several registries ({names}); say which: {target}:NAME")
    registry = found[0] if found else Registry.from_module(module)
    if not registry.names():
        raise ValueError(
            f"{what}: offers nothing; put @expose (from rtcrpc import expose) above the functions to offer"
        )
    return registry, name
