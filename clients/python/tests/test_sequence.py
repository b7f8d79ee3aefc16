"""The check of seq, skipped and epoch, case by case, and against a model."""

from __future__ import annotations

import random
import unittest
from datetime import datetime, timezone
from decimal import Decimal

from fxcast import Position, ProtocolError, Quote
from fxcast.sequence import Sequence


def quote(seq: int, epoch: str = "a", skipped: int = 0) -> Quote:
    return Quote("EUR/USD", Decimal("1.1"), Decimal("1.2"), datetime.now(timezone.utc), seq, epoch, skipped)


class SequenceTest(unittest.TestCase):
    def test_latest(self) -> None:
        s = Sequence(every=False)
        self.assertEqual(s.snapshot(quote(10), False), (True, None))
        self.assertEqual(s.update(quote(11)), (True, None))
        self.assertEqual(s.update(quote(15, skipped=3)), (True, None))
        self.assertEqual(s.update(quote(18, skipped=1)).gap[2:], (Position("a", 18), 1, "missing"))
        self.assertEqual(s.update(quote(19, skipped=4)).gap[3:], (None, "missing"))
        self.assertEqual(s.update(quote(1, epoch="b")), (True, None))
        self.assertEqual(s.snapshot(quote(1, epoch="b"), False), (False, None))
        self.assertEqual(s.snapshot(quote(9, epoch="b"), False), (True, None))

    def test_all(self) -> None:
        s = Sequence(every=True)
        self.assertEqual(s.update(quote(7)), (True, None))
        self.assertEqual(s.update(quote(8)), (True, None))
        self.assertEqual(s.update(quote(12, skipped=3)).gap[1:], (Position("a", 8), Position("a", 12), 3, "missing"))
        self.assertEqual(s.snapshot(quote(13), True), (True, None))
        self.assertEqual(s.snapshot(quote(20), True).gap[3:], (6, "missing"))
        self.assertEqual(s.update(quote(2, epoch="b")).gap[1:], (Position("a", 20), Position("b", 2), None, "epoch"))
        self.assertEqual(Sequence(every=True).snapshot(quote(5), True).gap[1:], (None, Position("a", 5), None, "reset"))
        self.assertEqual(Sequence(every=True).snapshot(quote(5), False), (True, None))

    def test_resumed(self) -> None:
        s = Sequence(every=True, high=Position("a", 5))
        self.assertEqual(s.update(quote(4)), (False, None))
        self.assertEqual(s.update(quote(5)), (False, None))
        self.assertEqual(s.update(quote(6)), (True, None))
        s.last = None  # another connection
        self.assertEqual(s.update(quote(8)).gap[3:], (1, "missing"))

    def test_backwards(self) -> None:
        for every in (False, True):
            s = Sequence(every)
            s.snapshot(quote(10), False)
            for seq in (10, 9, 1):
                with self.assertRaises(ProtocolError):
                    s.update(quote(seq))

    def test_any_loss_is_reported(self) -> None:
        """Whatever a server leaves out of an order of ticks, delivered and missing add up."""
        for seed in range(300):
            rng = random.Random(seed)
            s = Sequence(every=True)
            s.snapshot(quote(1), False)
            delivered, missing, last = 1, 0, 1
            for seq in range(2, 100):
                if rng.random() < 0.3:
                    continue
                snapshot = rng.random() < 0.1
                verdict = s.snapshot(quote(seq), True) if snapshot else s.update(quote(seq))
                delivered += verdict.deliver
                missing += verdict.gap.missing if verdict.gap else 0
                last = seq
            self.assertEqual(delivered + missing, last, f"seed {seed}")


if __name__ == "__main__":
    unittest.main()
