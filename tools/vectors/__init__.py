"""One module for each file of `schemas/vectors`; each has `make`, which returns what the file holds."""

__all__: list[str] = []
