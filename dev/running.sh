# shellcheck shell=bash
# What dev/up and dev/down know of a running platform. Sourced by them, after dev/lib.sh; FRESCO_STACK is set.
#
# A dev/up leaves its process in up.pid, its server's in server.pid and its port in port. Any of them may be
# killed and leave its file behind: a number counts only while its process is what the file says.

RUN=$STATE/up-$FRESCO_STACK

# True while PID is a fresco-server, also one whose file was built anew since.
is_server() { [[ $(readlink "/proc/$1/exe" 2>/dev/null) =~ /fresco-server(\ \(deleted\))?$ ]]; }

# The process of the dev/up that runs; fails when none does.
running_up() {
	local pid
	pid=$(cat "$RUN/up.pid" 2>/dev/null) && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q 'dev/up' && echo "$pid"
}

# Stops the server that a killed dev/up left.
stop_left_server() {
	local pid
	pid=$(cat "$RUN/server.pid" 2>/dev/null) && is_server "$pid" || return 0
	say "stopping fresco-server (process $pid), which an earlier dev/up left"
	end_server "$pid"
}

# end_server PID: tells it to end, and waits for that; at last it is killed.
end_server() {
	kill -TERM "$1" 2>/dev/null || true
	wait_for 60 ended "$1" || { kill -KILL "$1" && say "fresco-server did not end within 60 s and was killed"; }
}
ended() { ! is_server "$1"; }
