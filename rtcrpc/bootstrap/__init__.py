"""The bootstrap: a small server that introduces the peers of a room to each other and sees none of their
calls.
"""

from rtcrpc.bootstrap.app import create_app
from rtcrpc.bootstrap.config import BootstrapConfig
from rtcrpc.bootstrap.server import Bootstrap, BootstrapServer
from rtcrpc.signaling.base import IceServerInfo

__all__ = ["Bootstrap", "BootstrapConfig", "BootstrapServer", "IceServerInfo", "create_app"]
