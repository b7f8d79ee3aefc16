#!/bin/sh
# Starts Redis with the users of users.acl, each with the password from its secret
# file. Redis gets only the SHA-256 of each. No password is in an argument or in the
# environment, where other processes could see it.
#
#   SECRETS_DIR    directory of redis_USER_password     (/run/secrets)
#   REDIS_CONF     the configuration                    (/etc/redis/redis.conf)
#   USERS_ACL      the users without their passwords    (/etc/redis/users.acl)
#   ACL_FILE       the users with them, in memory       (/tmp/users.acl)
#   FEED_CHANNELS  the same as the broadcaster's: "news,alerts"
#
# Arguments go to redis-server.
set -euf

secrets=${SECRETS_DIR:-/run/secrets}
users=${USERS_ACL:-/etc/redis/users.acl}
acl=${ACL_FILE:-/tmp/users.acl}

fail() {
	echo "redis-start: $*" >&2
	exit 1
}

# The channels that the broadcaster relays, as ACL rules.
channels=
for c in $(echo "${FEED_CHANNELS:-}" | tr ',' ' '); do
	case $c in
	*[!A-Za-z0-9._:/-]*) fail "FEED_CHANNELS: want names of letters, digits and ._:/- only, got $c" ;;
	esac
	channels="$channels \\&$c"
done

umask 077
rm -f "$acl"
sed "s|^\(user broadcaster .*\)resetchannels|\1resetchannels$channels|" "$users" >"$acl"
for user in producer broadcaster monitor; do
	file=$secrets/redis_${user}_password
	[ -r "$file" ] || fail "$file is missing, or not readable for $(id -un)"
	[ "$(tr -d '\r\n' <"$file" | wc -c)" -ge 24 ] || fail "$file: want a password of at least 24 characters"
	hash=$(tr -d '\r\n' <"$file" | sha256sum | cut -d ' ' -f 1)
	sed "s|^user $user on|& #$hash|" "$acl" >"$acl.new"
	mv "$acl.new" "$acl"
done

exec redis-server "${REDIS_CONF:-/etc/redis/redis.conf}" --aclfile "$acl" "$@"
