#!/usr/bin/env bash
# Builds fresco-dev/probe-app:1 and :2 from scratch: the app of the backends' own tests, one static program.
set -euo pipefail
# shellcheck source=dev/images/common.sh
. "$(dirname "$0")/common.sh"

# Kept by what goes in: one compiler need not make the same program twice.
hash=$(hash_of "$0" "$IMAGES/common.sh" "$IMAGES/probe-app.rs")
ensure_rust
dir=$WORK/probe-app
for version in 1 2; do
	image=fresco-dev/probe-app:$version
	! image_is_current "$image" "$hash" || continue
	rm -rf "$dir"
	mkdir -p "$dir"
	rustc --edition 2024 -O -C target-feature=+crt-static -C strip=symbols \
		-o "$dir/probe-app" "$IMAGES/probe-app.rs" 2>"$WORK/probe-app.log" ||
		die "building probe-app failed: $(tail -n 40 "$WORK/probe-app.log")"
	cat >"$dir/Dockerfile" <<-DOCKERFILE
		FROM scratch
		COPY probe-app /probe-app
		ENV APP_VERSION=$version
		USER 1001:1001
		ENTRYPOINT ["/probe-app"]
	DOCKERFILE
	build_image "$image" "$hash" "$dir"
	rm -rf "$dir"
done
