#!/bin/sh
# Prints the messages of an event stream as JSON, one a line. It uses a guest session, so the server
# needs GUEST_SESSIONS=true. After the server has ended the stream, begin again.
#
#   FXCAST_URL=http://127.0.0.1:8080 ./stream.sh EUR/USD,GBP/USD
set -eu
cookies=$(mktemp)
trap 'rm -f "$cookies"' EXIT
curl --silent --show-error --fail --output /dev/null --request POST --cookie-jar "$cookies" "$FXCAST_URL/api/v1/session/guest"
curl --silent --show-error --fail --no-buffer --cookie "$cookies" "$FXCAST_URL/api/v1/stream?symbols=$1" |
	sed -u -n 's/^data: *//p'
