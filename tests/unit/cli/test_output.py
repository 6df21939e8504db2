"""rtcrpc.cli.output: the QR code."""

from __future__ import annotations

import pytest

from rtcrpc.cli import output


def test_a_qr_code_is_the_matrix_two_rows_a_line() -> None:
    lines = output.qr_lines("https://me.example/#room=lab")
    width = len(lines[0])
    assert {len(line) for line in lines} == {width}
    assert len(lines) == (width + 1) // 2
    # Four light modules all around (ISO 18004 section 5.3.8), then the dark edge of the corner.
    assert lines[0] == lines[1] == "█" * width
    assert lines[2].startswith("████ ▄▄▄▄▄ █")


def test_a_narrow_terminal_gets_a_word_instead(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.notes, "width", 20)
    output.print_qr("https://me.example/#room=lab")
    said = capsys.readouterr().err
    assert "20" in said
    assert "█" not in said
