#!/usr/bin/env python3
"""Writes every tick of some symbols to a CSV file, with no gap, also over restarts.

    FXCAST_URL=http://127.0.0.1:8080 TOKEN=… ./ticks_to_csv.py ticks.csv EUR/USD GBP/USD

When it starts again it reads the positions from the file, and continues after them. That works as
long as the server has the ticks since then (HISTORY_TICKS). If it does not, the gap is printed, and
the exit code is 1. It ends with SIGINT or SIGTERM. It needs clients/python.
"""

import asyncio
import csv
import os
import signal
import sys

import fxcast

HEADING = ["ts", "symbol", "bid", "ask", "epoch", "seq"]


def positions(path: str) -> dict[str, fxcast.Position]:
    """Returns the last position of each symbol in the file. Cuts a line that was not finished."""
    found = {}
    try:
        with open(path, "r+b") as file:
            data = file.read()
            whole = data.rfind(b"\n") + 1
            file.truncate(whole)
    except FileNotFoundError:
        return {}
    for row in csv.DictReader(data[:whole].decode().splitlines()):
        found[row["symbol"]] = fxcast.Position(row["epoch"], int(row["seq"]))
    return found


async def main(path: str, symbols: list[str]) -> int:
    gaps = []

    def on_gap(gap: fxcast.Gap) -> None:
        gaps.append(gap)
        print(gap, file=sys.stderr)

    since = positions(path)
    with open(path, "a", newline="") as file:
        rows = csv.writer(file)
        if file.tell() == 0:
            rows.writerow(HEADING)
        async with fxcast.connect(os.environ["FXCAST_URL"], token=os.environ["TOKEN"],
                                  on_state=lambda state: print(state, file=sys.stderr)) as fx:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, lambda: loop.create_task(fx.close()))
            async for q in fx.subscribe(symbols, mode="all", since=since, on_gap=on_gap):
                rows.writerow([q.ts.isoformat(), q.symbol, f"{q.bid:f}", f"{q.ask:f}", q.epoch, q.seq])
                file.flush()
    return 1 if gaps else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2:])))
