"""Streams between the user's code and a session: what is iterated here, and what is iterated there (protocol section 7.2)."""

__all__: list[str] = []
