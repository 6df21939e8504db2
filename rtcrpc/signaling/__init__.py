"""How two peers find each other: signed signals between the members of a room, over a WebSocket or another
way.
"""

__all__: list[str] = []
