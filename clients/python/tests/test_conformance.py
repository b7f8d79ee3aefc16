"""Plays the scenarios of clients/conformance, with the client and with its face without asyncio."""

from __future__ import annotations

import asyncio
import json
import unittest

from conformance import KIT, AsyncPlayer, Server, SyncPlayer, play_all, scenarios


def conflates(name: str) -> bool:
    """Reports whether a scenario expects every quote of a burst in mode latest.

    Quotes cross to the thread that iterates one by one, so that a newer one may replace an older one
    on the way.
    """
    scenario = json.loads((KIT / f"{name}.json").read_text())
    latest = any(s["do"] == "subscribe" and s.get("mode") != "all" for s in scenario.get("client", []))
    return latest and bool(scenario["expect"].get("quotes"))


class ConformanceTest(unittest.TestCase):
    def test_scenarios(self) -> None:
        server = Server()
        try:
            names = scenarios(server)
            self.assertGreater(len(names), 50)
            for player, protocol, chosen in ((AsyncPlayer, "fx.v1", names), (AsyncPlayer, "fx.v1.pb", names),
                                             (SyncPlayer, "fx.v1", [n for n in names if not conflates(n)])):
                for name, faults in asyncio.run(play_all(server, chosen, player, protocol)).items():
                    with self.subTest(player=player.__name__, protocol=protocol, scenario=name):
                        self.assertEqual(faults, [])
        finally:
            server.close()


if __name__ == "__main__":
    unittest.main()
