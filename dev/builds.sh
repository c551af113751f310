# shellcheck shell=bash
# What cargo built of other people's packages, for whoever builds them again: another clone, another folder.
# Sourced, never run. Cargo takes such a build for its own, since its name tells all that it was built with.

# link_builds FROM TO: both are folders of builds. What is there stays. Ours are left out: what is tested is built
# where it is tested.
link_builds() (
	own=$(cargo metadata --no-deps --format-version 1 | jq -r '[.packages[].name] | join("|")')
	mkdir -p "$2/debug"
	to=$(realpath "$2/debug") files=()
	cd "$1/debug" || exit 1
	for print in .fingerprint/*; do
		[[ -e $to/$print || $print =~ ^\.fingerprint/($own)-[0-9a-f]{16}$ ]] && continue
		for file in "$print" "build/${print#*/}" deps/*"-${print##*-}".*; do
			[ ! -e "$file" ] || files+=("$file")
		done
	done
	link=--link
	[ "$(stat -c %d .)" = "$(stat -c %d "$to")" ] || link=--reflink=auto
	[ ${#files[@]} = 0 ] || printf '%s\0' "${files[@]}" | xargs -0 cp --archive "$link" --parents -t "$to"
)

# Where they are kept for all clones of this user. The name holds what decides which they are.
kept_builds() {
	local key
	key=$({
		rustc -vV
		cat Cargo.lock .cargo/config.toml
		git ls-files -z '*Cargo.toml' | xargs -0 cat
		printf '%s' "${RUSTFLAGS:-}"
	} | sha256sum | cut -c 1-16)
	echo "${XDG_CACHE_HOME:-$HOME/.cache}/fresco-dev/builds-$key"
}

# Begins with what earlier runs have kept.
borrow_builds() {
	local kept
	kept=$(kept_builds)
	[ ! -d "$kept/debug" ] || link_builds "$kept" target
}

# Keeps what is built here, and lets go of what was built from other versions.
keep_builds() {
	local kept other
	kept=$(kept_builds)
	for other in "${kept%-*}"-*; do
		[ "$other" = "$kept" ] || rm -rf "$other"
	done
	link_builds target "$kept"
}
