"""The waits between connects, with a clock that the test turns."""

from __future__ import annotations

import random
import unittest

from fxcast.reconnect import Backoff


class BackoffTest(unittest.TestCase):
    def test_without_advice(self) -> None:
        for seed in range(50):
            now = 0.0
            backoff = Backoff(lambda: now, random.Random(seed).uniform)
            for least, most in ((0.2, 1), (0.4, 2), (0.8, 4), (1.6, 8), (3.2, 16), (6.4, 30), (6.4, 30)):
                self.assertTrue(least <= backoff.delay(None) <= most)
            backoff.welcomed()
            self.assertTrue(0.2 <= backoff.delay(None) <= 1)

    def test_advice(self) -> None:
        backoff = Backoff(lambda: 0.0)
        for advice in (1.73, 60.0, 3600.0):
            for _ in range(50):
                self.assertTrue(advice <= backoff.delay(advice) <= advice * 1.25)
        self.assertLess(backoff.delay(1e300), 200_000)

    def test_ten_a_minute(self) -> None:
        """Whatever the server does, no 60 seconds have more than 10 connects."""
        for seed in range(100):
            rng = random.Random(seed)
            now = 0.0
            backoff = Backoff(lambda: now, rng.uniform)
            connects: list[float] = []
            for _ in range(200):
                now += backoff.blocked()
                backoff.connecting()
                connects.append(now)
                if rng.random() < 0.7:
                    backoff.welcomed()
                now += rng.choice((0.0, 0.01, 5.0))
                now += backoff.delay(rng.choice((None, 0.0, 0.001)))
            for i in range(len(connects) - 10):
                self.assertGreaterEqual(connects[i + 10] - connects[i], 60.0 - 1e-6, f"seed {seed}")


if __name__ == "__main__":
    unittest.main()
