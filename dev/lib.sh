# shellcheck shell=bash
# What the commands in dev/ share. Sourced, never run.
#
# Everything generated lies in target/dev/, which git ignores. A change to the machine (a package, a
# service) is printed before it is made.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE=$ROOT/target/dev
# What tenants run where Fresco itself can't be had: as the app does it, with pages of its own.
# shellcheck disable=SC2034
STAND_IN=fresco-dev/tenant-app:1
# dockerd, modprobe and usermod lie where not every user looks.
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$STATE"

# Bash goes on after a Ctrl-C that a program under it took as its own end.
trap 'exit 130' INT

say() { printf '==> %s\n' "$*" >&2; }
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# Runs a command as root: directly, or through sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root: run it as root, or install sudo and run it again ($*)"
	fi
}

# from_dotenv NAME…: exports each that has no value in the environment and one in .env. Not sourced: the file
# is no shell script.
from_dotenv() {
	local name value
	[ -f "$ROOT/.env" ] || return 0
	for name in "$@"; do
		[ -z "${!name:-}" ] || continue
		value=$(sed -nE "s/^(export +)?$name=//p" "$ROOT/.env" | tail -n 1 | sed -E "s/ +#.*//; s/ *\$//; s/^([\"'])(.*)\\1\$/\\2/")
		[ -z "$value" ] || export "$name=$value"
	done
}

# The platform takes a bare path as DOCKER_HOST too; Docker's own client does not.
docker_host_from_dotenv() {
	from_dotenv DOCKER_HOST
	[[ ${DOCKER_HOST:-} != /* ]] || DOCKER_HOST=unix://$DOCKER_HOST
}

# wait_for SECONDS COMMAND…: repeats the command until it succeeds; fails when the time is over.
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# timed WHAT COMMAND…: runs it and says how long it took.
timed() {
	local start=$SECONDS
	say "$1"
	"${@:2}"
	say "$1: $((SECONDS - start)) s"
}

# The processes below PID, each after its parent.
descendants() {
	local children child
	read -ra children < <(cat "/proc/$1/task/"*/children 2>/dev/null) || true
	for child in "${children[@]}"; do
		echo "$child"
		descendants "$child"
	done
}

# ---------------------------------------------------------------- packages

apt_update() {
	command -v apt-get >/dev/null ||
		die "these are missing and there is no apt-get here to install them: $*. Install them by hand and run this again."
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >"$STATE/apt.log" 2>&1 ||
		die "apt-get update failed: $(tail -n 5 "$STATE/apt.log")"
}

apt_install() {
	local log=$STATE/apt.log
	apt_update "$@"
	say "installing packages: $*"
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
		apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1 ||
		die "apt-get install $* failed, the whole log is $log: $(tail -n 15 "$log")"
	printf '%s\n' "$@" >>"$STATE/packages"
}

# missing_packages WHAT=PACKAGE…: prints the package of every WHAT that is missing. WHAT is a command,
# an absolute path, or `pip` (the module of python3).
missing_packages() {
	local pair what
	for pair in "$@"; do
		what=${pair%%=*}
		case $what in
		/*) [ -e "$what" ] && continue ;;
		pip) python3 -m pip --version >/dev/null 2>&1 && continue ;;
		*) command -v "$what" >/dev/null && continue ;;
		esac
		echo "${pair#*=}"
	done
}

# Installs what missing_packages prints for the same arguments.
ensure_tools() {
	local missing
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# What cargo needs beside Rust itself.
RUST_TOOLS=(cc=gcc /usr/include/stdlib.h=libc6-dev git=git)
ensure_rust() {
	[ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
	command -v cargo >/dev/null || die "cargo is not in PATH: install Rust with rustup first"
	ensure_tools "${RUST_TOOLS[@]}"
}

# ---------------------------------------------------------------- Docker Engine

docker_answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# True when an engine runs that only root may talk to.
docker_refuses_us() { [[ $(timeout 10 docker version 2>&1) = *"permission denied"* ]]; }

# dockerd with what it needs on a machine without systemd: control groups mounted, no stale pid file.
start_dockerd_by_hand() {
	local log=$STATE/dockerd.log pid
	if ! grep -q ' /sys/fs/cgroup' /proc/self/mounts; then
		say "mounting control groups on /sys/fs/cgroup"
		as_root mount -t cgroup2 cgroup2 /sys/fs/cgroup
	fi
	pid=$(cat /var/run/docker.pid 2>/dev/null || true)
	if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != dockerd ]; then
		as_root rm -f /var/run/docker.pid
	fi
	say "starting dockerd by hand (no systemd here); its log is $log"
	# It outlives this script: a session of its own, no terminal, and none of our locks held open.
	as_root setsid --fork nohup dockerd </dev/null >"$log" 2>&1 8>&- 9>&-
	wait_for 60 docker_is_up ||
		die "dockerd did not answer within 60 s. The end of $log:
$(tail -n 25 "$log")"
	# So that dev/down stops this one, and no other.
	cp /var/run/docker.pid "$STATE/dockerd.pid"
}

# Stops the engine that start_dockerd_by_hand started, unless somebody's containers run on it.
stop_dockerd_by_hand() {
	local pid
	pid=$(cat "$STATE/dockerd.pid" 2>/dev/null || true)
	if [ -z "$pid" ] || [ "$(cat /var/run/docker.pid 2>/dev/null)" != "$pid" ]; then
		say "the Docker Engine runs on: dev/up did not start it by hand"
		rm -f "$STATE/dockerd.pid"
	elif [ -n "$(docker ps -q)" ]; then
		say "dockerd goes on: these containers run on it: $(docker ps --format '{{.Names}}' | xargs)"
	else
		say "stopping dockerd, which was started by hand"
		as_root kill "$pid"
		wait_for 30 test ! -e "/proc/$pid" || die "dockerd (pid $pid) did not end within 30 s; its log is $STATE/dockerd.log"
		rm -f "$STATE/dockerd.pid"
	fi
}

docker_is_up() { docker_answers || docker_refuses_us; }

# Ends with an engine that answers this user, whatever it takes. "$@" is the running command with its
# arguments, needed when the user must first join the group `docker`.
ensure_docker() {
	ensure_tools flock=util-linux
	if ! command -v docker >/dev/null || ! docker_is_up; then
		[ -z "${DOCKER_HOST:-}" ] || ! command -v docker >/dev/null ||
			die "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST: start it there, or unset DOCKER_HOST"
		(
			flock 8
			install_docker
			docker_is_up || start_docker
		) 8>"$STATE/docker.lock"
	fi
	reach_docker "$@"
}

# Like ensure_docker, but installs and starts nothing.
reach_docker() {
	docker_answers && return 0
	! docker_refuses_us || join_docker_group "$@"
	docker_answers || die "no Docker Engine answers: $(docker version 2>&1 | tail -n 1)"
}

# The packages of the engine, if it is missing.
docker_packages() {
	! command -v dockerd >/dev/null || return 0
	printf '%s\n' docker.io iptables ca-certificates
	# With AppArmor in the kernel the engine can start no container without its parser.
	[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || echo apparmor
}

install_docker() {
	local packages
	mapfile -t packages < <(docker_packages)
	[ ${#packages[@]} = 0 ] || apt_install "${packages[@]}"
	# Newer Debian and Ubuntu pack the client apart.
	command -v docker >/dev/null || apt_install docker-cli
}

# Compose as the docker client's plugin, or as a program of its own.
compose() {
	if docker compose version >/dev/null 2>&1; then
		docker compose "$@"
	else
		docker-compose "$@"
	fi
}

has_compose() { command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1; }

# Docker's own packages, Ubuntu and Debian give it different names; not all have every one.
ensure_compose() {
	local package
	! has_compose || return 0
	apt_update docker-compose
	for package in docker-compose-plugin docker-compose-v2 docker-compose; do
		apt-cache show "$package" >/dev/null 2>&1 || continue
		apt_install "$package"
		return 0
	done
	die "Docker Compose is missing and no package of it is known here: install it by hand and run this again"
}

start_docker() {
	if [ -d /run/systemd/system ]; then
		say "starting the service docker"
		as_root systemctl start docker || true
		wait_for 60 docker_is_up ||
			die "the service docker did not start: $(as_root journalctl -u docker -n 25 --no-pager 2>&1)"
	else
		start_dockerd_by_hand
	fi
}

# A user outside the group `docker` may not open the socket. Joining takes effect in new sessions only,
# so the command is started again inside the group.
join_docker_group() {
	[ "$(id -u)" != 0 ] && [ $# -gt 0 ] && [ -z "${FRESCO_DEV_IN_GROUP:-}" ] || return 0
	if ! id -nG "$(id -un)" | tr ' ' '\n' | grep -qx docker; then
		say "adding $(id -un) to the group docker (who is in it controls this machine as root)"
		as_root usermod -aG docker "$(id -un)"
	fi
	ensure_tools sg=login
	export FRESCO_DEV_IN_GROUP=1
	exec sg docker -c "$(printf '%q ' "$@")"
}

# The path of the engine's socket.
docker_socket() {
	case ${DOCKER_HOST:-unix:///var/run/docker.sock} in
	unix://*) local socket=${DOCKER_HOST:-unix:///var/run/docker.sock} && echo "${socket#unix://}" ;;
	*) die "this needs a Docker Engine on this machine, but DOCKER_HOST is $DOCKER_HOST" ;;
	esac
}

# obtainable IMAGE STANDIN: IMAGE when it is here or its registry answers the engine within 5 s, else STANDIN.
obtainable() {
	local socket
	socket=$(docker_socket)
	if docker image inspect "$1" >/dev/null 2>&1 ||
		curl -fsS --max-time 5 --unix-socket "$socket" "http://docker/distribution/$1/json" >/dev/null 2>&1; then
		echo "$1"
	else
		echo "$2"
	fi
}

# ---------------------------------------------------------------- Docker: things by label

# remove_firewall NETWORK…: removes the rules that a server loaded for the bridges of these networks. Only root's
# servers have the right to load any; a server that runs puts them back.
remove_firewall() {
	local network bridge
	[ "$(id -u)" = 0 ] && command -v nft >/dev/null || return 0
	for network in "$@"; do
		bridge=$(docker network inspect -f '{{index .Options "com.docker.network.bridge.name"}}' "$network" 2>/dev/null) || continue
		nft delete table inet "fresco_$bridge" 2>/dev/null || true
	done
}

# remove_containers ID…: what somebody else is removing at this moment counts as removed once it is gone.
remove_containers() {
	[ $# != 0 ] || return 0
	docker rm -f -v "$@" >/dev/null 2>"$STATE/remove.log" || wait_for 30 containers_are_gone "$@" ||
		die "these containers can't be removed: $* ($(tail -n 3 "$STATE/remove.log"))"
}
containers_are_gone() {
	local id
	for id in "$@"; do
		! docker container inspect "$id" || return 1
	done
}

# remove_labelled LABEL[=VALUE]: removes the containers, networks and volumes that carry the label.
remove_labelled() {
	local ids
	mapfile -t ids < <(docker ps -aq --filter "label=$1")
	remove_containers "${ids[@]}"
	mapfile -t ids < <(docker network ls -q --filter "label=$1")
	[ ${#ids[@]} = 0 ] || docker network rm "${ids[@]}" >/dev/null
	mapfile -t ids < <(docker volume ls -q --filter "label=$1")
	[ ${#ids[@]} = 0 ] || docker volume rm "${ids[@]}" >/dev/null
}

# Removes what a killed test run left: everything with the label `fresco.test`, whatever its value, and
# the tenants and probes on such networks, which carry only the labels of the platform that made them. The
# networks go by their names: a container that was never started knows its network by name alone.
sweep_tests() {
	local network ids
	for network in $(docker network ls --format '{{.Name}}' --filter label=fresco.test); do
		remove_firewall "$network"
		mapfile -t ids < <(docker ps -aq --filter "network=$network")
		remove_containers "${ids[@]}"
	done
	remove_labelled fresco.test
	# Images of probes that were broken off. One of a probe under way is younger, or in use.
	docker image prune --force --filter label=fresco.probe --filter until=5m >/dev/null
}

# One dev/test at a time on an engine: two would sweep each other's containers away.
alone_in_tests() {
	exec 9>"${TMPDIR:-/tmp}/fresco-dev-test.$(id -u).lock"
	flock --nonblock 9 || die "dev/test runs on this machine: wait for it to end"
}

# ---------------------------------------------------------------- ports

# listeners PORT: who listens on it, one line each, with the program where we may see it. A name is
# worth no question for a password.
listeners() {
	if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then
		sudo -n ss -Hltnp "sport = :$1"
	else
		ss -Hltnp "sport = :$1"
	fi
}

# need_port PORT VARIABLE PURPOSE COMMAND ADDRESS…: fails when the port is none, or when somebody listens on it
# on one of the addresses: with who that is, and the variable that chooses another port.
need_port() {
	local port=$1 variable=$2 purpose=$3 command=$4 address taken container
	shift 4
	if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || [ "$port" -gt 65535 ]; then
		die "$variable=$port is not a port: use a number from 1 to 65535"
	fi
	for address in "$@" 0.0.0.0 '*' '[::]' '[::ffff:127.0.0.1]'; do
		taken=$(listeners "$port" | awk -v a="$address:$port" '$4 == a { print $6 ? $6 : "a program of another user" }' |
			head -n 1 | sed -E 's/^users:\(\("([^"]*)",pid=([0-9]+).*/\1 (pid \2)/')
		[ -n "$taken" ] || continue
		container=$(docker ps --filter "publish=$port" --format '{{.Names}}' 2>/dev/null | head -n 1)
		die "port $port, wanted for $purpose, is taken on $address by $taken${container:+, for the container $container}.
Stop that, or choose another port: $variable=$((port < 1024 ? port + 8001 : port + 1)) $command"
	done
}

# A port of 127.0.0.1 that nobody listens on now.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000))
		[ -n "$(ss -Hltn "sport = :$port")" ] || break
	done
	echo "$port"
}
