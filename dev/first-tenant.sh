# shellcheck shell=bash
# The first tenant of dev/up, made and watched by the public API alone. Sourced by dev/up, which sets API
# (the platform's address), SITES (the proxy's) and TEMPORARY (a folder that nobody else reads).

# The account that owns it: for development, where everybody may know it.
DEMO=demo DEMO_EMAIL=demo@example.org DEMO_PASSWORD=localdev-demo
# How long one operation may take: the real image is some 500 MB.
DEMO_PATIENCE=1200
jar=$TEMPORARY/cookies answer='' status=''

# call NAME BODY: one POST. Fails for every answer but a 2xx; `answer` and `status` hold it. The body goes
# by standard input: everybody may read the list of processes.
call() {
	local out
	status='' answer=''
	out=$(curl -sS --max-time 60 -b "$jar" -c "$jar" -H 'Content-Type: application/json' -d @- -w '\n%{http_code}' \
		"$API/api/$1" <<<"$2" 2>&1) || {
		answer="{\"code\": \"unreachable\", \"detail\": $(jq -Rsc 'rtrimstr("\n")' <<<"$out")}"
		return 1
	}
	status=${out##*$'\n'} answer=${out%$'\n'*}
	[[ $status = 2?? ]]
}
field() { jq -r "$1 // empty" <<<"$answer"; }
why() { jq -r '"\(.code // "no code"): \(.detail // .title // "no words")"' <<<"$answer" 2>/dev/null || echo "$answer"; }

# Gives up on the first tenant; the platform serves on.
no_tenant() {
	demo_url=''
	say "there is no first tenant: $*"
	return 1
}

# ---------------------------------------------------------------- watching

# show_steps OPERATION SHOWN: the steps that have ended, but for the first SHOWN; prints how many there are now.
show_steps() {
	jq -r --argjson shown "$2" '
		def seconds: capture("^(?<whole>[^.Z+]+)(?<part>\\.[0-9]+)?") |
			(.whole + "Z" | fromdateiso8601) + ("0" + (.part // "") | tonumber);
		.steps | map(select(.status == "done" or .status == "failed")) | .[$shown:][] |
		((.finishedAt | seconds) - (.startedAt | seconds) | . * 10 | round / 10) as $took |
		"    \(if .undo then "undo " else "" end)\(.name) \(.status), \($took) s" +
			(if .detail then " (\(.detail))" else "" end)' <<<"$1" >&2
	jq '[.steps[] | select(.status == "done" or .status == "failed")] | length' <<<"$1"
}

# watch OPERATION: its progress on screen until its end; fails when it failed.
watch() {
	local last=0 shown=0 told='' event='' data='' line deadline=$((SECONDS + DEMO_PATIENCE))
	while [ "$SECONDS" -lt "$deadline" ]; do
		while IFS= read -r line; do
			line=${line%$'\r'}
			case $line in
			id:*) last=${line#id:} ;;
			event:*) event=${line#event:} event=${event# } ;;
			data:*) data=${line#data:} ;;
			'')
				case $event in
				progress) show_progress "$data" ;;
				step | done) show_change "$data" ;;
				esac
				[ "$event" != done ] || {
					show_end "$data"
					return
				}
				event=''
				;;
			esac
		done < <(curl -sSN --max-time "$DEMO_PATIENCE" -b "$jar" -H "Last-Event-ID: ${last# }" "$API/api/operations/$1/events" 2>&1)
		# The stream ended before the operation: it goes on after the last event, not in a hurry.
		server_runs
		sleep 1
	done
	no_tenant "its operation did not end within $((DEMO_PATIENCE / 60)) minutes"
}

# On one line of the terminal.
show_progress() {
	[ ! -t 2 ] || jq -rj '.progress | "\r\u001b[K    \(.detail), \(.doneBytes / 1000000 | floor) MB" +
		(if .totalBytes then " of \(.totalBytes / 1000000 | floor) MB" else "" end)' <<<"$1" >&2
}

# What changed since the last event, as `shown` and `told` of watch keep it.
show_change() {
	local now
	[ ! -t 2 ] || printf '\r\033[K' >&2
	shown=$(show_steps "$1" "$shown")
	now=$(jq -r '[.steps[] | select(.status == "running" and .detail) | "\(.name): \(.detail)"] | last // empty' <<<"$1")
	[ -z "$now" ] || [ "$now" = "$told" ] || printf '    … %s\n' "$now" >&2
	told=$now
}

show_end() {
	[ "$(jq -r .status <<<"$1")" != success ] || return 0
	jq -r '"    \(.action) \(.status)" + (.error // {} | ": \(.message // "no reason given")" +
		(if (.logTail // []) == [] then "" else "\n    the end of its log:\n      " + (.logTail | join("\n      ")) end))' <<<"$1" >&2
	return 1
}

# ---------------------------------------------------------------- making it

deploy_demo() {
	local session step
	say "signing up $DEMO_EMAIL and deploying $DEMO"
	call wizard.createSession "{\"email\": \"$DEMO_EMAIL\"}" || no_tenant "$(why)" || return
	session=$(field .sessionId)
	for step in "1 {\"password\": \"$DEMO_PASSWORD\"}" '2 {"useCase": "testing"}' "3 {\"subdomain\": \"$DEMO\"}" \
		'4 {"termsAccepted": true, "privacyAccepted": true}'; do
		call wizard.updateSession "{\"sessionId\": \"$session\", \"step\": ${step%% *}, \"data\": ${step#* }}" ||
			no_tenant "$(why)" || return
	done
	call wizard.deployTenant "{\"sessionId\": \"$session\"}" || no_tenant "$(why)" || return
	watch "$(field .operationId)"
}

# mend CALL TENANT [MORE]: asks for an operation, and watches it. One that is under way is nothing wrong: the
# next look finds it.
mend() {
	say "the tenant $DEMO is there, but $tenant: $1"
	if call "$1" "{\"tenantId\": \"$2\"${3:-}}"; then
		watch "$(field .operationId)"
	elif [ "$(field .code)" != operation_in_progress ]; then
		no_tenant "$(why)"
	fi
}

demo_answers() {
	local code
	code=$(curl -s -o /dev/null --max-time 5 -w '%{http_code}' -H "Host: ${1#*://}" "$SITES/")
	[[ $code = [23]?? ]]
}

# Makes the tenant `demo`, or brings the one there is to where its page answers; `demo_url` is its address.
demo_url=''
first_tenant() {
	local id tenant operation tried='' deadline=$((SECONDS + DEMO_PATIENCE))
	while [ "$SECONDS" -lt "$deadline" ]; do
		# Ends dev/up when it is gone.
		server_runs
		call wizard.checkSubdomain "{\"subdomain\": \"$DEMO\"}" || no_tenant "$(why)" || return
		if [ "$(field .available)" = true ]; then
			deploy_demo || return
			tried=again
		fi
		call auth.signIn "{\"email\": \"$DEMO_EMAIL\", \"password\": \"$DEMO_PASSWORD\"}" ||
			no_tenant "$DEMO belongs to an account with another password than $DEMO_EMAIL had ($(why))" || return
		call tenants.list "{\"search\": \"$DEMO\", \"limit\": 100}" || no_tenant "$(why)" || return
		id=$(field "[.tenants[] | select(.subdomain == \"$DEMO\")][0].id")
		[ -n "$id" ] || no_tenant "$DEMO belongs to somebody else" || return
		call tenants.get "{\"tenantId\": \"$id\"}" || no_tenant "$(why)" || return
		tenant=$(jq -r .tenant.status <<<"$answer")
		demo_url=$(field .tenant.url)
		operation=$(field '.operations[0] | select(.status == "initiated" or .status == "in_progress") | .id')
		if [ -n "$operation" ]; then
			say "watching what is under way on $DEMO: $(field '.operations[0].action')"
			watch "$operation" || true
			continue
		fi
		case $tenant in
		active)
			! demo_answers "$demo_url" || return 0
			# Its container was stopped while no platform ran: the platform finds that by itself, soon.
			[ "$tried" = wait ] || say "waiting for the page of $DEMO"
			tried=wait
			sleep 0.3
			;;
		stopped) mend tenants.start "$id" || return ;;
		error)
			[ "$tried" != again ] || no_tenant "$(field .tenant.error.message)
To begin anew, destroy it ($API/docs, tenants.destroy), or everything: ./dev/down --purge" || return
			tried=again
			# Without data of its own it is made anew, perhaps of another image than then. Else it gets a new
			# container: PostgreSQL may have moved.
			if [ -n "$(field .tenant.lastDeployedAt)" ]; then
				mend tenants.update "$id" ", \"image\": \"$FRESCO_IMAGE\"" || true
			else
				mend tenants.destroy "$id" ", \"confirmation\": \"$DEMO\"" || return
			fi
			;;
		*)
			[ "$(field '.operations[0].status')" != stuck ] ||
				no_tenant "its operation is stuck, and tried again: $(field '.operations[0].error.message')" || return
			sleep 0.3
			;;
		esac
	done
	no_tenant "the page of $DEMO did not answer within $((DEMO_PATIENCE / 60)) minutes"
}
