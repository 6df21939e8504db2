"""Two Python peers that call each other, with a bootstrap of their own.  Run it with:  python examples/two_peers.py

In real life the three parts run on three machines: `rtcrpc bootstrap` on one that both can reach, and each peer with the URL of the room.
"""

import asyncio

import rtcrpc
from rtcrpc.bootstrap import Bootstrap, BootstrapConfig

kitchen = rtcrpc.Registry()
garden = rtcrpc.Registry()


@kitchen.expose
async def temperature() -> float:
    """How warm it is in the kitchen, in degrees Celsius."""
    return 21.5


@garden.expose
def water(litres: float) -> str:
    """Water the garden."""
    return f"{litres:g} litres of water, thank you"


async def main() -> None:
    """Start everything, call both ways, stop everything."""
    async with Bootstrap(BootstrapConfig()).serve() as server:
        room_url = server.room_url("home")
        one = rtcrpc.Peer(name="kitchen", registry=kitchen)
        other = rtcrpc.Peer(name="garden", registry=garden)
        # Each pins the other's key: that is what lets them call each other, whatever else is in the room.
        async with (
            one.join(room_url, pin=other.peer_id) as room_of_kitchen,
            other.join(room_url, pin=one.peer_id) as room_of_garden,
        ):
            to_garden = await room_of_kitchen.peer("garden")
            print("the garden says:", await to_garden.call.water(litres=2.5))
            to_kitchen = await room_of_garden.peer("kitchen")
            print("the kitchen has", await to_kitchen.call.temperature(), "degrees")
            print("the kitchen's key is", to_kitchen.trust)


if __name__ == "__main__":
    asyncio.run(main())
