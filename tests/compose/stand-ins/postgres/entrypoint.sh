# POSTGRES_USER, _PASSWORD, _DB and _INITDB_ARGS make the database in an empty PGDATA.
set -eu

if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -m 700 "$PGDATA" /var/run/postgresql
  exec runuser -u postgres -- sh "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  # shellcheck disable=SC2086  # several arguments
  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password \
    --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  rm /tmp/password
  # as the official image does: while it makes the database, on the socket alone
  pg_ctl --wait --options="-c listen_addresses=''" start
  createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl --wait stop
fi
exec "$@"
