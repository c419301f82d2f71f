#!/bin/sh
# Makes the cluster and the database `platform` on the first start, then becomes PostgreSQL. Root only to read the secret.
set -eu

if [ "$(id -u)" = 0 ]; then
    install --directory --owner=postgres --group=postgres --mode=2775 /run/postgresql
    chown postgres:postgres "$PGDATA"
    chmod 0700 "$PGDATA"
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        POSTGRES_PASSWORD=$(cat /run/secrets/postgres_password)
        [ -n "$POSTGRES_PASSWORD" ] || { echo "secrets/postgres_password is empty" >&2; exit 1; }
        export POSTGRES_PASSWORD
    fi
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # A first start that was interrupted left no PG_VERSION at its place: what it left is removed.
    find "$PGDATA" -mindepth 1 -delete
    draft=$PGDATA/.new
    (umask 077 && mkdir "$draft" && printf '%s\n' "$POSTGRES_PASSWORD" > "$draft/password")
    initdb --pgdata="$draft/data" --username=postgres --pwfile="$draft/password" --auth=scram-sha-256 \
           --encoding=UTF8 --locale=C.UTF-8 --data-checksums
    printf 'CREATE DATABASE platform\n' | postgres --single -D "$draft/data" postgres > /dev/null
    rm "$draft/password"
    find "$draft/data" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    sync
    mv "$draft/data/PG_VERSION" "$PGDATA/PG_VERSION"
    rm -r "$draft"
fi
unset POSTGRES_PASSWORD

exec postgres -D "$PGDATA" -c config_file=/etc/postgresql/postgresql.conf -c hba_file=/etc/postgresql/pg_hba.conf
