"""Makes the constants of both languages from `schemas/codes.json` and `schemas/limits.json`.

python tools/generate_constants.py            writes the four files
python tools/generate_constants.py --check    writes nothing; exits with 1 if a file would change
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from typing import Any

from generated_files import ROOT, run

__all__ = ["main", "render"]

WIDTH = 110
NOTICE = "Made from schemas/{}.json by tools/generate_constants.py: change that one and `make generate`."


def main(arguments: list[str]) -> int:
    """Write or check the files; the exit code is the result."""
    return run(arguments, render, "schemas/*.json")


def render() -> dict[str, str]:
    """The text of each generated file, by its path from the root."""
    codes = json.loads((ROOT / "schemas/codes.json").read_text(encoding="utf-8"))["codes"]
    limits = json.loads((ROOT / "schemas/limits.json").read_text(encoding="utf-8"))["limits"]
    return {
        "rtcrpc/codes.py": python_codes(codes),
        "rtcrpc/limits.py": python_limits(limits),
        "js-client/src/codes.ts": typescript_codes(codes),
        "js-client/src/limits.ts": typescript_limits(limits),
    }


def python_codes(codes: dict[str, Any]) -> str:
    """`rtcrpc/codes.py`."""
    lines = [
        '"""The error codes of the protocol, and a dict of their names.',
        "",
        NOTICE.format("codes"),
        '"""',
        "",
        "from typing import Final",
        "",
        *exported(["CODE_NAMES", *map(constant, codes)]),
        "",
    ]
    for name, code in codes.items():
        lines += [f"{constant(name)}: Final = {code['code']}", *docstring(code_text(code))]
    lines += ["", "CODE_NAMES: Final[dict[int, str]] = {"]
    lines += [f'    {constant(name)}: "{code["name"]}",' for name, code in codes.items()]
    lines += ["}", '"""The text that goes with each code where there is no better one."""', ""]
    return "\n".join(lines)


def python_limits(limits: dict[str, Any]) -> str:
    """`rtcrpc/limits.py`."""
    lines = [
        '"""Every bound of the protocol with its default, its reason, and what exceeding it does.',
        "",
        NOTICE.format("limits"),
        '"""',
        "",
        "from typing import Final",
        "",
        *exported(list(map(constant, limits))),
        "",
    ]
    for name, limit in limits.items():
        lines += [f"{constant(name)}: Final = {limit['value']}", *docstring(limit_text(limit))]
    return "\n".join([*lines, ""])


def typescript_codes(codes: dict[str, Any]) -> str:
    """`js-client/src/codes.ts`."""
    lines = [
        "// The error codes of the protocol, and a map of their names.",
        "//",
        *comment(NOTICE.format("codes"), "// "),
        "",
    ]
    for name, code in codes.items():
        lines += [*block(code_text(code)), f"export const {constant(name)} = {code['code']};", ""]
    lines += ["/** The text that goes with each code where there is no better one. */"]
    lines += ["export const CODE_NAMES: ReadonlyMap<number, string> = new Map<number, string>(["]
    lines += [f'  [{constant(name)}, "{code["name"]}"],' for name, code in codes.items()]
    return "\n".join([*lines, "]);", ""])


def typescript_limits(limits: dict[str, Any]) -> str:
    """`js-client/src/limits.ts`."""
    lines = [
        "// Every bound of the protocol with its default, its reason, and what exceeding it does.",
        "//",
        *comment(NOTICE.format("limits"), "// "),
        "",
    ]
    for name, limit in limits.items():
        lines += [*block(limit_text(limit)), f"export const {constant(name)} = {limit['value']};", ""]
    return "\n".join(lines)


def constant(name: str) -> str:
    """`maxFrame` -> `MAX_FRAME`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def code_text(code: dict[str, Any]) -> str:
    """What is said beside the constant of an error code."""
    return f"{code['meaning']} ({code['source']})"


def limit_text(limit: dict[str, Any]) -> str:
    """What is said beside the constant of a limit."""
    return f"In {limit['unit']}. {limit['reason']} Exceeded: {limit['exceeded']}"


def exported(names: list[str]) -> list[str]:
    """`__all__`, in the order that the linter wants."""
    return ["__all__ = [", *(f'    "{name}",' for name in sorted(names)), "]"]


def docstring(text: str) -> list[str]:
    """An attribute docstring within the line length."""
    one = f'"""{text}"""'
    return [one] if len(one) <= WIDTH else [*textwrap.wrap(f'"""{text}', WIDTH, break_on_hyphens=False), '"""']


def comment(text: str, prefix: str) -> list[str]:
    """Line comments within the line length."""
    return textwrap.wrap(text, WIDTH, initial_indent=prefix, subsequent_indent=prefix)


def block(text: str) -> list[str]:
    """A JSDoc comment within the line length."""
    one = f"/** {text} */"
    if len(one) <= WIDTH:
        return [one]
    return ["/**", *textwrap.wrap(text, WIDTH, initial_indent=" * ", subsequent_indent=" * "), " */"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
