#!/bin/sh
# Publishes the quotes of standard input, one JSON object a line, on the Redis channel that a node
# reads. There is no answer: GET /api/v1/feed/rejected of the admin listener has what was refused.
#
#   echo '{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513"}' | REDIS_URL=redis://127.0.0.1:6379 ./publish_redis.sh
#
# redis-cli takes a password from the variable REDISCLI_AUTH.
set -eu
while IFS= read -r quote; do
	redis-cli -u "$REDIS_URL" PUBLISH forex_updates "$quote" >/dev/null
done
