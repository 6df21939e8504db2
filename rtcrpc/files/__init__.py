"""Files as values: named, sized and checked streams of bytes (protocol section 10.1)."""

__all__: list[str] = []
