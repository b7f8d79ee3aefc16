"""Live forex quotes from an fxcast server, with no tick lost silently.

    async with fxcast.connect("wss://fx.example.com/ws", token=TOKEN) as fx:
        async for q in fx.subscribe(["EUR/USD"], mode="all"):
            print(q.symbol, q.bid, q.ask, q.ts)
"""

from .connection import Connection, connect
from .errors import (CommandError, ConnectError, ConnectionLost, FxcastError, GapError, ProtocolError,
                     PublishError)
from .publisher import Published, Publisher, Rejected
from .quote import Position, Quote, Status
from .sequence import Gap
from .subscription import Subscription
from .target import tickets
from .sync import SyncConnection, SyncPublisher, SyncSubscription, connect_sync

__all__ = [
    "CommandError", "ConnectError", "Connection", "ConnectionLost", "FxcastError", "Gap", "GapError", "Position",
    "ProtocolError", "PublishError", "Published", "Publisher", "Quote", "Rejected", "Status", "Subscription",
    "SyncConnection", "SyncPublisher", "SyncSubscription", "connect", "connect_sync",
    "tickets",
]
