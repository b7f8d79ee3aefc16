"""Live forex quotes from an fxcast server, with no tick lost silently.

    async with fxcast.connect("wss://fx.example.com/ws", token=TOKEN) as fx:
        async for q in fx.subscribe(["EUR/USD"], mode="all"):
            print(q.symbol, q.bid, q.ask, q.ts)
"""

from .connection import Connection, connect
from .errors import (CommandError, ConnectError, ConnectionLost, FxcastError, GapError, ProtocolError,
                     PublishError)
from .publisher import Published, Publisher, Rejected
from .quote import Candle, Day, Position, Prices, Quote, Status
from .sequence import Gap
from .subscription import CandleSubscription, Subscription
from .target import tickets
from .sync import SyncCandles, SyncConnection, SyncPublisher, SyncSubscription, connect_sync

__all__ = [
    "Candle", "CandleSubscription", "CommandError", "ConnectError", "Connection", "ConnectionLost", "Day", "FxcastError", "Gap", "GapError", "Position",
    "Prices", "ProtocolError", "PublishError", "Published", "Publisher", "Quote", "Rejected", "Status", "Subscription",
    "SyncCandles", "SyncConnection", "SyncPublisher", "SyncSubscription", "connect", "connect_sync",
    "tickets",
]
