"""Checks that each module says what it holds and what of it is public, in both languages."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

__all__ = ["check_face", "check_python", "check_typescript", "main"]

ROOT = Path(__file__).resolve().parent.parent
DECLARATION = re.compile(
    r"export (?:(?:default|abstract|async) )*(?:class|const|enum|function\*?|interface|let|type) (\w+)"
)


def main() -> int:
    """Print what is wrong; the exit code is the result."""
    faults: list[str] = []
    for path in sorted([*ROOT.glob("rtcrpc/**/*.py"), *ROOT.glob("tools/**/*.py")]):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        faults += [f"{name}: {fault}" for fault in check_python(text)]
        if name.parts[0] == "rtcrpc" and name.parts[1] not in ("__main__.py", "cli"):
            faults += [f"{name}: {fault}" for fault in check_face(text)]
    for path in sorted(ROOT.glob("js-client/src/**/*.ts")):
        text = path.read_text(encoding="utf-8")
        faults += [f"{path.relative_to(ROOT)}: {fault}" for fault in check_typescript(text)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def check_python(text: str) -> list[str]:
    """The faults of one Python module: docstring, `__all__`, and docstrings of what it lists."""
    tree = ast.parse(text)
    faults = []
    if len((ast.get_docstring(tree) or "").split()) < 2:
        faults.append("expected a docstring that says what the module holds")
    listed = public_names(tree)
    if listed is None:
        return [*faults, "expected __all__, a list of strings, got none"]
    documented, defined = definitions(tree)
    for name in listed:
        if name in defined and name not in documented:
            faults.append(f"{name} is public: expected a docstring")
    return faults


def check_face(text: str) -> list[str]:
    """The imports of one module of the package from its face, which imports every layer, also those above."""
    faults = []
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.Import) and "rtcrpc" in names:
            faults.append(f"line {node.lineno}: expected the import of a module, got that of the whole package")
        if isinstance(node, ast.ImportFrom) and node.module == "rtcrpc":
            modules = {path.stem for path in (ROOT / "rtcrpc").iterdir()}
            faults += [
                f"line {node.lineno}: expected {name} from the module that defines it, not from rtcrpc"
                for name in names
                if name not in modules
            ]
    return faults


def public_names(tree: ast.Module) -> list[str] | None:
    """What `__all__` lists, or None where there is no such list."""
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        targets = node.targets if isinstance(node, ast.Assign) else [target]
        if not any(isinstance(name, ast.Name) and name.id == "__all__" for name in targets):
            continue
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.List | ast.Tuple):
            return [str(item.value) for item in value.elts if isinstance(item, ast.Constant)]
    return None


def definitions(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The functions and classes of a module that have a docstring, and all of them."""
    documented, defined = set(), set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            # Overloads share the docstring of the function they belong to.
            if any(isinstance(name, ast.Name) and name.id == "overload" for name in node.decorator_list):
                continue
            defined.add(node.name)
            if ast.get_docstring(node):
                documented.add(node.name)
    return documented, defined


def check_typescript(text: str) -> list[str]:
    """The faults of one TypeScript module: a comment at its head, and one before each exported name."""
    faults = []
    lines = text.splitlines()
    if not lines or not lines[0].startswith(("//", "/*")):
        faults.append("expected a comment at the head that says what the module holds")
    previous = ""
    for number, line in enumerate(lines, 1):
        declaration = DECLARATION.match(line)
        name = declaration.group(1) if declaration else ""
        overload = declaration is not None and re.match(rf"export (async )?function {name}\b", previous) is not None
        if declaration and not overload and not previous.endswith("*/"):
            faults.append(f"line {number}: {name} is exported: expected a /** comment */ before it")
        previous = line.strip()
    return faults


if __name__ == "__main__":
    sys.exit(main())
