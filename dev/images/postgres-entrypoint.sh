#!/bin/sh
# Entrypoint of fresco-dev/postgres. Honours POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, PGDATA,
# POSTGRES_INITDB_ARGS and POSTGRES_HOST_AUTH_METHOD as the official image does. The first start uses
# PostgreSQL's single-user mode and no temporary server, so the ready line is printed once, on stderr.
set -eu

case ${1:-} in
'' | -*) set -- postgres "$@" ;;
esac
[ "$1" = postgres ] || exec "$@"

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}

if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown -R 999:999 "$PGDATA"
	exec /usr/bin/setpriv --reuid 999 --regid 999 --clear-groups "$0" "$@"
fi

quoted() { printf '%s' "$1" | sed 's/"/""/g'; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
		echo "POSTGRES_PASSWORD is not set: set it, or POSTGRES_HOST_AUTH_METHOD=trust" >&2
		exit 1
	fi
	umask 077
	printf '%s\n' "${POSTGRES_PASSWORD:-}" >/tmp/password
	# POSTGRES_INITDB_ARGS holds several words, as in the official image.
	# shellcheck disable=SC2086
	initdb --username="$user" --encoding=UTF8 --locale=C.UTF-8 --no-sync \
		--auth-local=trust --auth-host="$method" \
		${POSTGRES_PASSWORD:+--pwfile=/tmp/password} ${POSTGRES_INITDB_ARGS:-} >/dev/null
	rm -f /tmp/password
	echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
	if [ "$database" != postgres ]; then
		printf 'CREATE DATABASE "%s"\n' "$(quoted "$database")" |
			postgres --single -j -F postgres >/dev/null
	fi
fi
unset POSTGRES_PASSWORD
exec "$@"
