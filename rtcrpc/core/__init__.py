"""The protocol without input and output: envelopes, codecs, frames, lanes, identity, handshake, session."""

__all__: list[str] = []
