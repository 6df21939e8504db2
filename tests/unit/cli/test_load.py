"""rtcrpc.cli.load: from words on a command line to a registry, or to a sentence that says what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtcrpc.cli.load import load_registry
from rtcrpc.service.registry import default_registry


@pytest.fixture(autouse=True)
def _leave_no_modules() -> Iterator[None]:
    before, path, names = set(sys.modules), list(sys.path), set(default_registry().names())
    yield
    for name in set(default_registry().names()) - names:
        default_registry().remove(name)
    for name in set(sys.modules) - before:
        if not name.startswith("rtcrpc"):
            del sys.modules[name]
    sys.path[:] = path


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_with_exposed_functions(tmp_path: Path) -> None:
    what = write(
        tmp_path,
        "robot_one.py",
        "from rtcrpc import expose\n@expose\ndef add(a: int, b: int) -> int:\n    return a + b\n",
    )
    registry, name = load_registry(what)
    assert (list(registry.names()), name) == (["add"], "robot_one")


def test_a_registry_by_name_and_by_itself(tmp_path: Path) -> None:
    text = "from rtcrpc import Registry\narm = Registry()\n@arm.expose\ndef up() -> None: ...\n"
    what = write(tmp_path, "robot_two.py", text)
    assert list(load_registry(f"{what}:arm")[0].names()) == ["up"]
    assert list(load_registry(what)[0].names()) == ["up"]


def test_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "robot_three.py", "from rtcrpc import expose\n@expose\ndef hi() -> str:\n    return 'hi'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(load_registry("robot_three")[0].names()) == ["hi"]


@pytest.mark.parametrize(
    ("text", "suffix", "says"),
    [
        ("x = 1\n", "", "offers nothing"),
        ("from rtcrpc import Registry\na = Registry()\nb = Registry()\n", "", "several registries"),
        ("arm = 1\n", ":arm", "expected arm to be a rtcrpc.Registry, got int"),
        ("", ":missing", "expected missing to be"),
    ],
)
def test_what_can_not_be_served(tmp_path: Path, text: str, suffix: str, says: str) -> None:
    what = write(tmp_path, "robot_four.py", text)
    with pytest.raises(ValueError, match=says):
        load_registry(what + suffix)


@pytest.mark.parametrize("what", ["nowhere.py", "no_such_module_anywhere", "./nothing/here.py"])
def test_what_is_not_there(what: str) -> None:
    with pytest.raises(ValueError, match="no such file"):
        load_registry(what)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_thing\n", "No module named 'no_such_thing'"),
        ("def f(:\n", "SyntaxError"),
        ("1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_what_a_file_raises_is_shown_from_its_own_line_on(tmp_path: Path, text: str, said: str) -> None:
    what = write(tmp_path, "robot_broken.py", text)
    with pytest.raises(ValueError, match="can't be loaded") as caught:
        load_registry(what)
    assert said in str(caught.value)
    assert 'robot_broken.py", line 1' in str(caught.value)
    assert "importlib" not in str(caught.value)
    assert "cli/load.py" not in str(caught.value)
