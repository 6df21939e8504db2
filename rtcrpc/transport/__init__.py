"""Bytes between two peers: the interface, WebRTC, and a simulated network."""

__all__: list[str] = []
