"""Rooms: who is there, how we are linked to each, and what a user holds of them."""

__all__: list[str] = []
