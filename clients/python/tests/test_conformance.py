"""Plays the scenarios of clients/conformance, with the client and with its face without asyncio."""

from __future__ import annotations

import asyncio
import sys
import unittest

from conformance import AsyncPlayer, Server, SyncPlayer, play_all, scenarios

# Two threads iterate in it, so that the close may overtake the quotes of one of them.
ONLY_ASYNC = {"several-symbols"}


class ConformanceTest(unittest.TestCase):
    def test_scenarios(self) -> None:
        server = Server()
        try:
            names = scenarios(server)
            self.assertGreater(len(names), 50)
            for player, protocol, chosen in ((AsyncPlayer, "fx.v1", names), (AsyncPlayer, "fx.v1.pb", names),
                                             (SyncPlayer, "fx.v1", [n for n in names if n not in ONLY_ASYNC])):
                results = asyncio.run(play_all(server, chosen, player, protocol))
                for name in [name for name, (faults, late) in results.items() if faults and late]:
                    # Times are judged, and with others beside it a scenario may get no processor for
                    # long. So one that failed then is played again, alone.
                    print(f"{name} is played again:", results[name][0][0], file=sys.stderr)
                    results.update(asyncio.run(play_all(server, [name], player, protocol)))
                for name, (faults, _) in results.items():
                    with self.subTest(player=player.__name__, protocol=protocol, scenario=name):
                        self.assertEqual(faults, [])
        finally:
            server.close()


if __name__ == "__main__":
    unittest.main()
