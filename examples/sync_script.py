"""A script without async that calls a robot.  Run it with the link that `rtcrpc serve examples/robot.py` prints:

python examples/sync_script.py "$LINK"
"""

import sys

import rtcrpc


def main(link: str) -> None:
    """Join, call, leave."""
    with rtcrpc.sync.join(link, name="script") as room:
        robot = room.peer("robot")
        print("1 + 2 =", robot.call.add(1, 2))
        # `submit` doesn't wait: the robot looks around while it moves.
        seen = robot.submit.look_around(seconds=0.2)
        print("moved to", robot.call.move("forward", 2.5))
        print("it sees", ", ".join(seen.result()))
        try:
            robot.call.with_(timeout=0.1).look_around(seconds=60)
        except rtcrpc.errors.DeadlineExceeded:
            print("looking around for a minute takes too long")


if __name__ == "__main__":
    main(sys.argv[1])
