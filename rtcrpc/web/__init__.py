"""Where the built page is: `static_dir`, a directory that any static host can serve as it stands."""

from pathlib import Path

__all__ = ["static_dir"]


def static_dir() -> Path:
    """The directory with `index.html`, `page.js`, `style.css` and the client `rtcrpc.js`.

    In an installed package it lies beside this file; in a checkout, an editable install included, it is what
    `npm run build` wrote. Raises `FileNotFoundError` when there is neither.
    """
    packed = Path(__file__).parent / "static"
    built = Path(__file__).parents[2] / "js-client" / "dist" / "page"
    for directory in (packed, built):
        if (directory / "index.html").is_file():
            return directory
    raise FileNotFoundError(
        f"expected the built page in {packed} or {built}, found it in neither: "
        "run `make setup`, or `npm ci && npm run build` in js-client"
    )
