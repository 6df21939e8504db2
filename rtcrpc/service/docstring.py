"""What a docstring tells a caller: a summary, a description, and a line for each parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Doc", "read_docstring"]

_GOOGLE = re.compile(r"^(?P<name>\*{0,2}\w+)\s*(?:\([^)]*\))?:\s*(?P<text>.*)$")
_SPHINX = re.compile(r"^:param\s+(?:[^:]*\s)?(?P<name>\*{0,2}\w+):\s*(?P<text>.*)$")
_SPHINX_OTHER = re.compile(r"^:(?:returns?|rtype|raises?|type)\b[^:]*:")
_SECTION = re.compile(r"^(?P<title>Args|Arguments|Parameters|Returns?|Raises|Yields?|Examples?|Notes?):$")


@dataclass(frozen=True, slots=True)
class Doc:
    """`summary`: the first paragraph on one line. `description`: what follows, parameters left out."""

    summary: str = ""
    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Doc:
    """Read a docstring in plain, Google or Sphinx form. What is in another form is left in the
    description.
    """
    if not text:
        return Doc()
    head, _, body = inspect.cleandoc(text).partition("\n\n")
    parameters: dict[str, str] = {}
    kept: list[str] = []
    section, current = "", ""
    lines = (head if head.startswith(":") else "").splitlines() + body.splitlines()
    for line in lines:
        bare = line.strip()
        indented = line[:1] in (" ", "\t")
        if not indented and (title := _SECTION.match(bare)):
            section, current = title["title"], ""
        elif not indented and (found := _SPHINX.match(bare)):
            section, current = "param", found["name"].lstrip("*")
            parameters[current] = found["text"]
        elif not indented and _SPHINX_OTHER.match(bare):
            section, current = "other", ""
        elif section in ("Args", "Arguments", "Parameters") and indented and (found := _entry(line, lines)):
            current = found["name"].lstrip("*")
            parameters[current] = found["text"]
        elif section and indented:
            if current and bare:
                parameters[current] = f"{parameters[current]} {bare}".strip()
        elif section in ("Notes", "Note", "Example", "Examples", "") or bare:
            section, current = "", ""
            kept.append(line)
    summary = "" if head.startswith(":") else " ".join(head.split())
    return Doc(summary, "\n".join(kept).strip(), parameters)


def _entry(line: str, lines: list[str]) -> re.Match[str] | None:
    """An entry of an `Args:` section: at the smallest indent of the text, so that a line that continues
    one is none.
    """
    indents = [len(other) - len(other.lstrip()) for other in lines if other[:1] in (" ", "\t") and other.strip()]
    if len(line) - len(line.lstrip()) != min(indents):
        return None
    return _GOOGLE.match(line.strip())
