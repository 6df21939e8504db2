"""transport/webrtc."""
