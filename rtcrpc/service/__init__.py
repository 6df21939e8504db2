"""What a peer offers: the registry of exposed functions, who may call them, and how a call reaches one and
comes back.
"""

__all__: list[str] = []
