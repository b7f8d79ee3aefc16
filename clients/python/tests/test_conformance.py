"""Plays the scenarios of clients/conformance, with the client and with its face without asyncio."""

from __future__ import annotations

import asyncio
import unittest

from conformance import AsyncPlayer, Server, SyncPlayer, play_all, scenarios


class ConformanceTest(unittest.TestCase):
    def test_scenarios(self) -> None:
        server = Server()
        try:
            names = scenarios(server)
            self.assertGreater(len(names), 50)
            for player, protocol, chosen in ((AsyncPlayer, "fx.v1", names), (AsyncPlayer, "fx.v1.pb", names),
                                             (SyncPlayer, "fx.v1", names)):
                for name, faults in asyncio.run(play_all(server, chosen, player, protocol)).items():
                    with self.subTest(player=player.__name__, protocol=protocol, scenario=name):
                        self.assertEqual(faults, [])
        finally:
            server.close()


if __name__ == "__main__":
    unittest.main()
