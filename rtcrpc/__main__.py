"""`python -m rtcrpc` is the `rtcrpc` program."""

from rtcrpc.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
