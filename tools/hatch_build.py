"""Build hook of hatchling: packs the built page and client into the package; installing it needs no Node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["PageHook"]


class PageHook(BuildHookInterface[Any]):
    """Adds `js-client/dist/page` to wheels and source archives as `rtcrpc/web/static`.

    An unpacked source archive has no `js-client/dist` but has `rtcrpc/web/static` already: a wheel takes it.
    An editable install needs nothing: `rtcrpc.web.static_dir` finds the page in the checkout.
    """

    PLUGIN_NAME = "page"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files. Raises `FileNotFoundError`: the page is not built."""
        if version == "editable":
            return
        built = Path(self.root, "js-client", "dist", "page")
        packed = Path(self.root, "rtcrpc", "web", "static")
        if (built / "index.html").is_file():
            build_data["force_include"][str(built)] = "rtcrpc/web/static"
        elif not (packed / "index.html").is_file():
            raise FileNotFoundError(
                f"expected the built page in {built}, found none: run `make setup`, "
                "or `npm ci && npm run build` in js-client, before building the package"
            )
