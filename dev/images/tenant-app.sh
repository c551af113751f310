#!/usr/bin/env bash
# Builds fresco-dev/tenant-app:1 and :2 from scratch: one static program, two values of APP_VERSION.
set -euo pipefail
# shellcheck source=dev/images/common.sh
. "$(dirname "$0")/common.sh"

ensure_rust
host=$(cargo -vV | sed -n 's/^host: //p')
log=$WORK/tenant-app.log
program=$ROOT/target/$host/release/tenant-app
[ -e "$program" ] || say "compiling tenant-app, a minute or two"
# An explicit target keeps the static flags away from build scripts and procedural macros.
(cd "$ROOT" && RUSTFLAGS="-C target-feature=+crt-static" \
	cargo build --quiet --release --target "$host" --target-dir "$ROOT/target" -p tenant-app) >"$log" 2>&1 ||
	die "building tenant-app failed:
$(tail -n 40 "$log")"
! ldd "$program" >/dev/null 2>&1 || ldd "$program" | grep -q 'statically linked' ||
	die "$program is not static: an image made of it alone could not run it"

dir=$WORK/tenant-app
for version in 1 2; do
	image=fresco-dev/tenant-app:$version
	input=$(hash_of "$0" "$program")
	! image_is_current "$image" "$input" || continue
	rm -rf "$dir"
	mkdir -p "$dir"
	cp "$program" "$dir/tenant-app"
	cat >"$dir/Dockerfile" <<-DOCKERFILE
		FROM scratch
		COPY tenant-app /tenant-app
		ENV APP_VERSION=$version
		EXPOSE 3000
		USER 1001:1001
		ENTRYPOINT ["/tenant-app"]
	DOCKERFILE
	build_image "$image" "$input" "$dir"
done
