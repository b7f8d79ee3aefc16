# Reads lines of a JSON message and the same message in base64 of fx.v1.pb, which belong to one
# connection. Prints what the decoder of the Python client makes of them if that differs.
import base64
import json
import random
import sys

from fxcast.binary import Reader
from fxcast.errors import ProtocolError
from fxcast.quote import parse_quote

reader, broken = Reader(), Reader()
rng = random.Random(1)
for line in sys.stdin:
    line = line.rstrip("\n")
    if not line:
        reader, broken = Reader(), Reader()  # another connection
        continue
    text, coded = line.split("\t")
    data, want = base64.b64decode(coded), json.loads(text)
    try:
        got = reader.read(data)
    except ProtocolError as e:
        sys.exit(f"{e}\nwant\n{text}\n{coded}")
    # Prices are compared with all their digits: 1.10 is not 1.1.
    same = [repr(q) for q in got["data"]] == [repr(parse_quote(q)) for q in want["data"]]
    if not same or (got["type"], got["reset"]) != (want["type"], want.get("reset", False)):
        sys.exit(f"{got}\nwant\n{text}\n{coded}")
    # A damaged message is refused by an error, or decoded as something else.
    for _ in range(3):
        damaged = bytearray(data[: len(data) if rng.randrange(8) else rng.randrange(len(data) + 1)])
        for _ in range(1 + rng.randrange(4) if damaged else 0):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            broken.read(bytes(damaged))
        except ProtocolError:
            broken = Reader()
print("ok")
