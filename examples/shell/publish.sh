#!/bin/sh
# Publishes the quotes of standard input, one JSON object a line, and prints what was refused.
#
#   echo '{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513"}' |
#     FXCAST_URL=http://127.0.0.1:8080 PUBLISH_TOKEN=… ./publish.sh
#
# curl reads the token from its standard input, since arguments can be seen by every user.
set -eu
quotes=$(mktemp)
trap 'rm -f "$quotes"' EXIT
cat >"$quotes"
printf 'header = "Authorization: Bearer %s"\n' "$PUBLISH_TOKEN" |
	curl --silent --show-error --fail-with-body --config - \
		--header 'Content-Type: application/x-ndjson' --data-binary @"$quotes" "$FXCAST_URL/api/v1/quotes"
