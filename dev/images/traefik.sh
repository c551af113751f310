#!/usr/bin/env bash
# Builds fresco-dev/traefik:3 from scratch: the static Traefik program and the CA certificates.
set -euo pipefail
# shellcheck source=dev/images/common.sh
. "$(dirname "$0")/common.sh"

image=fresco-dev/traefik:3
input=$(hash_of "$0" <(pin traefik))
! image_is_current "$image" "$input" || exit 0

ensure_tools "$CERTIFICATES"
dir=$WORK/traefik
rm -rf "$dir"
unpack traefik "$dir/wheel"
mv "$dir"/wheel/*.data/scripts/traefik "$dir/traefik"
rm -rf "$dir/wheel"
chmod 755 "$dir/traefik"
[[ $("$dir/traefik" version) =~ Version:\ +3\. ]] || die "the fetched program is not Traefik 3"
cp /etc/ssl/certs/ca-certificates.crt "$dir/"
cat >"$dir/Dockerfile" <<DOCKERFILE
FROM scratch
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY traefik /traefik
EXPOSE 80
ENTRYPOINT ["/traefik"]
DOCKERFILE
build_image "$image" "$input" "$dir"
rm -rf "$dir"
