"""Who does what how often: one process a host, one endless loop a habit.

Started inside a host's namespace: `users.py --host ws1 --seed 7 --work DIR`. Writes a line to
DIR/journal.csv whenever a habit begins.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from habits import HABITS, Desk
from office import BY_NAME

#: Mean seconds between two times, for each person and machine.
EVERYONE = {
    "browse_inside": 175, "browse_outside": 130, "keep_alive": 350, "errors": 350,
    "form": 800, "download": 960, "abort": 670, "stream": 865, "refused": 530,
    "switched_off": 575, "filtered": 575, "lookup": 80, "typo": 290, "mail": 320,
    "ssh_mistake": 600, "ftp_mistake": 600, "ping": 290, "discovery": 145, "dhcp": 255,
}  # fmt: skip
PEOPLE: dict[str, dict[str, float]] = {
    "ws1": {"ftp": 175, "mail": 130, "redis": 145},
    "ws2": {"download": 385, "scp": 290, "form": 290},
    "ws3": {"browse_outside": 80, "mail": 175, "ftp": 385},
    "ws4": {"redis": 40, "redis_idle": 175, "iperf": 240, "scp": 415},
    "ws5": {"ssh": 175, "browse_inside": 95, "scp": 320, "iperf": 240},
    "lap1": {"stream": 350, "subscribe": 145, "mail": 210, "ssh": 320},
    "lap2": {"browse_outside": 90, "subscribe": 175, "ftp": 320, "abort": 320},
    "admin": {"ssh": 160, "monitor": 80, "scp": 210, "redis_idle": 225, "subscribe": 190},
    "visitor": {"browse_outside": 175, "browse_inside": 290, "ssh_mistake": 1440,
                "ftp_mistake": 1440, "lookup": 95},
}  # fmt: skip
MACHINES: dict[str, dict[str, float]] = {
    "build": {"scp": 175, "download": 320, "redis": 65, "lookup": 95, "iperf": 240, "publish": 95},
    "web": {"redis": 25, "redis_idle": 110, "mail": 290, "lookup": 95},
    "app": {"lookup": 130, "ping": 190, "ftp": 385},
    "sensor": {"publish": 20, "lookup": 145, "dhcp": 240},
    "camera": {"form": 145, "publish": 65, "subscribe": 175, "discovery": 145, "dhcp": 240},
}
#: A person thinks in heavy-tailed pauses; no pause is longer than this many means.
LONGEST_PAUSE = 6.0


def habits_of(name: str) -> dict[str, float]:
    """Habits of a host with the mean seconds between two times; empty for a quiet server."""
    if name in PEOPLE:
        return EVERYONE | PEOPLE[name]
    return MACHINES.get(name, {})


def pauses(rng: random.Random, mean_s: float, person: bool) -> Iterator[float]:
    """Seconds to wait before each time. The first is shorter: the day is under way already."""
    yield rng.uniform(0, mean_s)
    while True:
        if person:
            yield min(LONGEST_PAUSE * mean_s, rng.lognormvariate(-0.5, 1.0) * mean_s)
        else:
            yield min(LONGEST_PAUSE * mean_s, rng.expovariate(1 / mean_s))


async def live(desk: Desk, habit: str, mean_s: float) -> None:
    """Follow one habit for ever."""
    for pause in pauses(desk.rng, mean_s, desk.host.name in PEOPLE):
        await asyncio.sleep(pause)
        with open(desk.work / "journal.csv", "a") as journal:
            journal.write(f"{time.time_ns()},{desk.host.name},{habit}\n")
        try:
            await HABITS[habit](desk)
        except (OSError, TimeoutError) as error:
            print(f"{habit}: {error}", file=sys.stderr)


async def main() -> None:
    """Follow all habits of one host."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", choices=BY_NAME, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pace", type=float, default=1.0, help="means are multiplied by this")
    args = parser.parse_args()
    async with asyncio.TaskGroup() as group:
        for habit, mean_s in habits_of(args.host).items():
            rng = random.Random(f"{args.seed}/{args.host}/{habit}")
            desk = Desk(BY_NAME[args.host], rng, args.work)
            group.create_task(live(desk, habit, mean_s * args.pace))


if __name__ == "__main__":
    asyncio.run(main())
