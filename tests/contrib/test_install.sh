#!/bin/bash
# What is installed, and what stands in it: manual pages against the program's own tables, units
# against systemd's judgement, folders and users as systemd makes them. Wants $SEGEL_BUILD.
set -u
TOP=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$(realpath "${SEGEL_BUILD:?the folder with segelctl, e.g. build/asan}")
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
cd "$TOP" || exit 1
ROOT=$DIR/root
passed=0
failed=0

# check NAME COMMAND...   the command's words are shown where it fails
check() {
	local name=$1
	shift
	if "$@" >"$DIR/said" 2>&1 </dev/null; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name"
		sed 's/^/    /' "$DIR/said"
	fi
}

refuses() {
	! "$@"
}

# --- manual pages ---

page_is_clean() {
	local said
	said=$(mandoc -Tlint -W warning "$1" 2>&1) && [ -z "$said" ] || {
		echo "$said"
		return 1
	}
}

generated_parts_are_current() {
	cp -r contrib/man "$DIR/man" && "$DIR/man/generate" "$BUILD/segelctl" "$DIR/man" && diff -ru contrib/man "$DIR/man" || {
		echo "run: contrib/man/generate $BUILD/segelctl"
		return 1
	}
}

a_changed_page_is_noticed() {
	cp -r contrib/man "$DIR/man2" && sed -i '0,/^Default: /s//Standard: /' "$DIR/man2/segel.conf.5" || return
	cp -r "$DIR/man2" "$DIR/man3"
	"$DIR/man3/generate" "$BUILD/segelctl" "$DIR/man3" && refuses diff -r "$DIR/man2" "$DIR/man3" >"$DIR/difference"
}

# names_all PAGE WORD...   each word stands in the page
names_all() {
	local page=$1 word missing=0
	shift
	[ $# -gt 0 ] || { echo "no words to look for"; return 1; }
	for word in "$@"; do
		grep -qw -- "$word" "$page" || { echo "$page does not name '$word'"; missing=1; }
	done
	return $missing
}

verbs() {
	"$BUILD/segelctl" --help | sed -n 's/^  \([a-z]\{1,\}\)\( \([a-z| -]*\)\)\{0,1\}$/\1 \3/p' |
		while read -r noun rest; do
			[ -n "$rest" ] || echo "segelctl $noun"
			tr '|' '\n' <<<"$rest" | sed -n "s/./segelctl $noun &/p"
		done
}

every_verb_is_named() {
	local line n=0
	while read -r line; do
		n=$((n + 1))
		grep -qE "^\.It Li $line( |\$)" contrib/man/segelctl.8 || { echo "not named: $line"; return 1; }
	done < <(verbs)
	[ $n -ge 40 ] || { echo "only $n verbs found in the help"; return 1; }
}

# From the sources that write them.
fields() {
	grep -oP '\badd(_if)?\([^"]*, "\K[a-z-]+(?=",)' milter/filter/record.c
	grep -ohP '\{ "\K[a-z0-9-]+(?=", )' milter/filter/record.c milter/keyd/intent.c milter/reviewd/act.c milter/reviewd/hold.c
	sed -n '/^record(/,/^}/p' milter/keyd/main.c | grep -oP '\{ "\K[a-z]+(?=", )'
}

events() {
	grep -ohP 'audit_append\([^"]*"\K[a-z-]+(?=")' milter/*/*.c
	grep -oP '\brecord\(daemon, "\K[a-z]+' milter/keyd/main.c
	grep -oP 'AUDIT_RESUME_EVENT "\K[a-z]+' milter/audit/line.h
	# Reviewers' acts, as act_record() calls them.
	grep -ohP '\b(act_do|act_record|act_change|record_end)\([^"]*"\K[a-z-]+(?=")' milter/reviewd/*.c | sed 's/^/quarantine-/'
	grep -ohP '"\Kquarantine-[a-z-]+(?=")' milter/reviewd/*.c
	grep -oP '#define RELEASE_[A-Z_]+ "\K[a-z-]+' milter/quarantine/store.h | sed 's/^/quarantine-/'
	printf '%s\n' quarantine-view quarantine-export
}

metrics() {
	grep -oP '"\Ksegel_[a-z_]+(?=")' milter/filter/metrics.c
}

every_reason_is_named() {
	local words
	words=$("$BUILD/segelctl" policy show --defaults | awk 'NR > 1 { print $1 }')
	# shellcheck disable=SC2086
	names_all contrib/man/segel-events.7 $words
}

# --- installed ---

install_it() {
	make -s MODE="$(basename "$BUILD")" OUT="$BUILD" install DESTDIR="$ROOT" PREFIX=/usr
}

wanted_files() {
	cat <<-'END'
		./usr/bin/segelctl
		./usr/lib/systemd/system/segel-client-map.service
		./usr/lib/systemd/system/segel-client-map.timer
		./usr/lib/systemd/system/segel-keyd.service
		./usr/lib/systemd/system/segel-milter@.service
		./usr/lib/systemd/system/segel-quarantine-digest.service
		./usr/lib/systemd/system/segel-quarantine-digest.timer
		./usr/lib/systemd/system/segel-reviewd.service
		./usr/lib/systemd/system/segel-split.service
		./usr/lib/systemd/system/segel-tlspol.service
		./usr/lib/systemd/system/segel-trust-refresh.service
		./usr/lib/systemd/system/segel-trust-refresh.timer
		./usr/lib/sysusers.d/segel.conf
		./usr/lib/tmpfiles.d/segel.conf
		./usr/sbin/segel-keyd
		./usr/sbin/segel-milter
		./usr/sbin/segel-reviewd
		./usr/sbin/segel-split
		./usr/sbin/segel-tlspol
		./usr/share/doc/segel/LICENSE
		./usr/share/doc/segel/README.md
		./usr/share/doc/segel/postfix/egress.cf
		./usr/share/doc/segel/postfix/inbound.cf
		./usr/share/doc/segel/postfix/local.cf
		./usr/share/doc/segel/postfix/main.cf
		./usr/share/doc/segel/postfix/master.cf
		./usr/share/doc/segel/postfix/release.cf
		./usr/share/doc/segel/postfix/split-master.cf
		./usr/share/doc/segel/postfix/split.cf
		./usr/share/doc/segel/postfix/tls.cf
		./usr/share/doc/segel/segel.conf.sample
		./usr/share/doc/segel/sendmail/README
		./usr/share/doc/segel/sendmail/egress.m4
		./usr/share/doc/segel/sendmail/inbound.m4
		./usr/share/doc/segel/sendmail/release.m4
		./usr/share/doc/segel/sendmail/segel.m4
		./usr/share/man/man5/segel.conf.5
		./usr/share/man/man7/segel-events.7
		./usr/share/man/man8/segel-keyd.8
		./usr/share/man/man8/segel-milter.8
		./usr/share/man/man8/segel-reviewd.8
		./usr/share/man/man8/segel-split.8
		./usr/share/man/man8/segel-tlspol.8
		./usr/share/man/man8/segelctl.8
	END
}

files_are_those_wanted() {
	diff <(wanted_files) <(cd "$ROOT" && find . -type f | sort)
}

no_mark_is_left() {
	refuses grep -rn '@[A-Z]*@' "$ROOT/usr/lib" "$ROOT/usr/share/man"
}

another_prefix_is_named() {
	make -s MODE="$(basename "$BUILD")" OUT="$BUILD" install DESTDIR="$DIR/local" PREFIX=/opt/segel &&
		grep -q '^ExecStart=/opt/segel/sbin/segel-keyd -f$' "$DIR/local/opt/segel/lib/systemd/system/segel-keyd.service" &&
		grep -q '/opt/segel/share/doc/segel' "$DIR/local/opt/segel/share/man/man8/segel-milter.8" &&
		refuses grep -rq '/usr/share/doc/segel' "$DIR/local/opt/segel/share/man"
}

starts() {
	"$ROOT/usr/$1" "$2" | grep -q "$3"
}

sample_is_good() {
	"$ROOT/usr/bin/segelctl" config check "$ROOT/usr/share/doc/segel/segel.conf.sample"
}

# --- units ---

# As an instance, with programs that are there.
prepare_units() {
	mkdir -p "$DIR/units"
	for unit in segel-keyd segel-milter@ segel-tlspol segel-reviewd segel-split; do
		sed "s|/usr/sbin/segel-|$ROOT/usr/sbin/segel-|g" "$ROOT/usr/lib/systemd/system/$unit.service" \
			>"$DIR/units/${unit/@/@submission}.service"
	done
	sed "s|/usr/bin/segelctl|$ROOT&|" "$ROOT/usr/lib/systemd/system/segel-client-map.service" >"$DIR/units/segel-client-map.service"
	sed "s|/usr/bin/segelctl|$ROOT&|" "$ROOT/usr/lib/systemd/system/segel-trust-refresh.service" >"$DIR/units/segel-trust-refresh.service"
	sed "s|/usr/bin/segelctl|$ROOT&|" "$ROOT/usr/lib/systemd/system/segel-quarantine-digest.service" >"$DIR/units/segel-quarantine-digest.service"
	cp "$ROOT/usr/lib/systemd/system/"segel-{client-map,trust-refresh,quarantine-digest}.timer "$DIR/units"
}

# exposure_is_low UNIT [MOST]
exposure_is_low() {
	local said level most=${2:-2.0}
	said=$(systemd-analyze security --offline=true --no-pager "$1") || { echo "$said"; return 1; }
	level=$(sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\) .*/\1/p' <<<"$said")
	awk -v level="$level" -v most="$most" 'BEGIN { exit !(level != "" && level <= most) }' || {
		echo "exposure '$level', wanted at most $most"
		return 1
	}
}

weaker() {
	grep -vE '^(SystemCallFilter|CapabilityBoundingSet|PrivateNetwork|ProtectSystem|PrivateDevices|RestrictAddressFamilies|User)=' "$1" \
		>"$DIR/units/weaker.service"
	refuses exposure_is_low "$DIR/units/weaker.service" "${2:-2.0}"
}

unit_is_clean() {
	local said
	said=$(systemd-analyze verify --man=no "$1" 2>&1) && [ -z "$said" ] || { echo "$said"; return 1; }
}

# Its own folders, and the registry's, where readers share memory with writers.
writes_no_authority() {
	local found
	found=$(sed -n 's/^ReadWritePaths=//p' "$DIR/units/segel-trust-refresh.service" | tr ' \n' '\n\n' | sort | tr '\n' ' ')
	[ "$found" = "-/var/lib/segel/registry /var/lib/segel/trust/crl /var/lib/segel/trust/ocsp /var/lib/segel/trust/state " ] || {
		echo "found: $found"
		return 1
	}
}

stop_time_exceeds_drain() {
	local stop drain n=0
	stop=$(sed -n 's/^TimeoutStopSec=//p' "$DIR/units/segel-milter@submission.service")
	for drain in $(sed -n 's/.*\bdrain = "\([0-9]*\)s";.*/\1/p' contrib/segel.conf.sample); do
		[ "$stop" -gt "$drain" ] || return
		n=$((n + 1))
	done
	[ $n -eq 5 ] # roles, and segel-split, whose unit has the same
}

# --- users and folders, as systemd makes them in a root of their own ---

make_root() {
	mkdir -p "$ROOT/etc" "$ROOT/run" "$ROOT/var/spool/postfix" "$ROOT/var/lib" &&
		printf 'root:x:0:\npostfix:x:4242:\n' >"$ROOT/etc/group" &&
		printf 'root:x:0:0:root:/root:/bin/sh\n' >"$ROOT/etc/passwd" &&
		systemd-sysusers --root="$ROOT" && systemd-tmpfiles --root="$ROOT" --create segel.conf
}

# folder_is PATH MODE OWNER GROUP, by the names in that root
folder_is() {
	local found uid gid
	uid=$(awk -F: -v name="$3" '$1 == name { print $3 }' "$ROOT/etc/passwd")
	gid=$(awk -F: -v name="$4" '$1 == name { print $3 }' "$ROOT/etc/group")
	found=$(stat -c '%a %u %g' "$ROOT$1") && [ "$found" = "$2 $uid $gid" ] || {
		echo "$1: found '$found', wanted '$2 $uid $gid'"
		return 1
	}
}

# in_group USER GROUP
in_group() {
	awk -F: -v group="$2" '$1 == group { print "," $4 "," }' "$ROOT/etc/group" | grep -q ",$1,"
}

old_registry_is_shared() {
	touch "$ROOT/var/lib/segel/registry/registry.db" && chmod 0640 "$ROOT/var/lib/segel/registry/registry.db" || return
	systemd-tmpfiles --root="$ROOT" --create segel.conf && folder_is /var/lib/segel/registry/registry.db 640 root segel-registry
}

# members_are GROUP "NAME NAME...", sorted
members_are() {
	local found
	found=$(awk -F: -v group="$1" '$1 == group { print $4 }' "$ROOT/etc/group" | tr ',' '\n' | sort | tr '\n' ' ')
	[ "$found" = "$2 " ] || { echo "group $1: found '$found', wanted '$2'"; return 1; }
}

no_shell_no_home() {
	grep -E "^$1:[^:]*:[0-9]+:[0-9]+:[^:]*:/nonexistent:/usr/sbin/nologin$|^$1:.*:/nonexistent:.*nologin$" "$ROOT/etc/passwd"
}

# --- what a program is linked with ---

links_nothing_of() {
	! readelf -d "$BUILD/$1" | grep -E 'NEEDED.*(gmime|glib|sqlite|milter|microhttpd|jansson|libssl|curl)'
}

asks_nobody() {
	refuses grep -E 'NEEDED.*curl' <(readelf -d "$BUILD/$1")
}

agent_is_small() {
	links_nothing_of segel-keyd
}

tlspol_is_small() {
	! readelf -d "$BUILD/segel-tlspol" | grep -E 'NEEDED.*(gmime|glib|milter|microhttpd|jansson|libssl)'
}

# --- what the README says ---

# Every line of a snippet that Postfix reads stands in the README too.
readme_shows() {
	local line missing=0
	while IFS= read -r line; do
		grep -qF -- "$(sed 's/^ *//; s/  */ /g' <<<"$line")" <(sed 's/^ *//; s/  */ /g' README.md) || {
			echo "not in README.md: $line"
			missing=1
		}
	done < <(grep -vE '^(#|$)' "$1")
	return $missing
}

for page in contrib/man/*.[578]; do
	check "$page is clean" page_is_clean "$page"
done
check "generated parts of the pages are current" generated_parts_are_current
check "a page that drifted is noticed" a_changed_page_is_noticed
check "every verb is in segelctl(8)" every_verb_is_named
check "every finding is in segel-events(7)" every_reason_is_named
# shellcheck disable=SC2046 # words, one by one
check "every log field is in segel-events(7)" names_all contrib/man/segel-events.7 $(fields)
# shellcheck disable=SC2046
check "every audit event is in segel-events(7)" names_all contrib/man/segel-events.7 $(events)
# shellcheck disable=SC2046
check "every metric is in segel-events(7)" names_all contrib/man/segel-events.7 $(metrics)
check "a word that is not there is noticed" refuses names_all contrib/man/segel-events.7 NO_SUCH_FINDING
check "make install" install_it
check "the files are those wanted" files_are_those_wanted
check "no mark is left in them" no_mark_is_left
check "another prefix is named in units and pages" another_prefix_is_named
check "segel-milter starts" starts sbin/segel-milter -V "^segel-milter [0-9]"
check "segel-keyd starts" starts sbin/segel-keyd -V "^segel-keyd [0-9]"
check "segel-reviewd starts" starts sbin/segel-reviewd -V "^segel-reviewd [0-9]"
check "segel-tlspol starts" starts sbin/segel-tlspol -V "^segel-tlspol [0-9]"
check "segel-split starts" starts sbin/segel-split -V "^segel-split [0-9]"
check "segelctl starts" starts bin/segelctl --help "^Usage: segelctl"
check "the key agent is linked with no reader of mail, no database and no network library" agent_is_small
check "the filter is not linked with libcurl" asks_nobody segel-milter
check "segelctl is" refuses asks_nobody segelctl
check "segel-tlspol is linked with no reader of mail and no network library" tlspol_is_small
check "the filter is linked with GMime" refuses links_nothing_of segel-milter
check "the sample settings are good" sample_is_good
prepare_units
for unit in segel-keyd segel-milter@submission segel-tlspol segel-reviewd segel-split; do
	check "$unit: clean" unit_is_clean "$DIR/units/$unit.service"
	check "$unit: exposure at most 2.0" exposure_is_low "$DIR/units/$unit.service"
	check "$unit: without its walls the exposure is too high" weaker "$DIR/units/$unit.service"
done
check "segel-client-map.timer: clean" unit_is_clean "$DIR/units/segel-client-map.timer"
check "segel-client-map: clean" unit_is_clean "$DIR/units/segel-client-map.service"
check "segel-client-map: exposure at most 2.0" exposure_is_low "$DIR/units/segel-client-map.service"
check "segel-client-map: without its walls the exposure is too high" weaker "$DIR/units/segel-client-map.service"
check "segel-trust-refresh.timer: clean" unit_is_clean "$DIR/units/segel-trust-refresh.timer"
check "segel-trust-refresh: clean" unit_is_clean "$DIR/units/segel-trust-refresh.service"
check "segel-trust-refresh: exposure at most 2.0, with a network" exposure_is_low "$DIR/units/segel-trust-refresh.service"
check "segel-trust-refresh: without its walls the exposure is too high" weaker "$DIR/units/segel-trust-refresh.service"
check "segel-trust-refresh may write what it fetches, and nothing else of trust" writes_no_authority
check "segel-quarantine-digest.timer: clean" unit_is_clean "$DIR/units/segel-quarantine-digest.timer"
check "segel-quarantine-digest: clean" unit_is_clean "$DIR/units/segel-quarantine-digest.service"
# The sendmail command needs its set-group-ID right, which most walls would take from it.
check "segel-quarantine-digest: exposure at most 5.0" exposure_is_low "$DIR/units/segel-quarantine-digest.service" 5.0
check "segel-quarantine-digest: without its walls the exposure is too high" weaker "$DIR/units/segel-quarantine-digest.service" 5.0
check "stopping may take longer than drain" stop_time_exceeds_drain
check "users and folders are made" make_root
for user in segel-submission segel-inbound segel-local segel-egress segel-keyd segel-tlspol segel-trust segel-reviewd segel-digest segel-split; do
	check "$user has no shell and no home" no_shell_no_home $user
done
check "socket folder in Postfix's chroot" folder_is /var/spool/postfix/segel 2750 segel-submission postfix
check "socket folder under /run" folder_is /run/segel/submission 2750 segel-submission postfix
check "the key agent's socket folder" folder_is /run/segel/keyd 2750 segel-keyd segel-seal
for role in inbound local egress; do
	check "$role: socket folder in Postfix's chroot" folder_is /var/spool/postfix/segel-$role 2750 segel-$role postfix
	check "$role: socket folder under /run" folder_is /run/segel/$role 2750 segel-$role postfix
	check "$role: records" folder_is /var/lib/segel/audit-$role 750 segel-$role segel-$role
done
for role in submission inbound local egress; do
	check "$role: what it remembers" folder_is /var/lib/segel/state-$role 750 segel-$role segel-$role
done
check "segel-split: what it remembers" folder_is /var/lib/segel/state-split 750 segel-split segel-split
check "segel-split: folder of a UNIX socket" folder_is /var/spool/postfix/segel-split 2750 segel-split postfix
check "segel-split may not ask the key agent" refuses in_group segel-split segel-seal
check "held mail" folder_is /var/lib/segel/quarantine 700 segel-reviewd segel-reviewd
check "the quarantine's records" folder_is /var/lib/segel/audit-reviewd 750 segel-reviewd segel-reviewd
check "socket folder of those who hold" folder_is /run/segel/hold 2750 segel-reviewd segel-hold
check "socket folder of those who review" folder_is /run/segel/review 2750 segel-reviewd segel-review
check "only the filters of roles inbound and egress may hold" members_are segel-hold "segel-egress segel-inbound"
check "of ours only the digest reviews; people are put there by hand" members_are segel-review "segel-digest"
check "those with a use for keys reach the key agent: submission and local sign; inbound and the quarantine open" members_are segel-seal \
	"segel-inbound segel-local segel-reviewd segel-submission"
check "role egress may not ask the key agent" refuses in_group segel-egress segel-seal
check "the registry's readers" members_are segel-registry "segel-egress segel-inbound segel-local segel-reviewd segel-split segel-submission segel-tlspol segel-trust"
check "keys" folder_is /etc/segel/keys 700 segel-keyd segel-keyd
check "the filter's records" folder_is /var/lib/segel/audit-submission 750 segel-submission segel-submission
check "the key agent's records" folder_is /var/lib/segel/audit-keyd 750 segel-keyd segel-keyd
check "the table of client certificates" folder_is /var/lib/segel/client-map 755 root root
check "the fetcher may read the registry" grep -qE '^segel-registry:[^:]*:[0-9]+:(.*,)?segel-trust(,|$)' "$ROOT/etc/group"
check "the authorities" folder_is /var/lib/segel/trust/anchors/official 755 root root
check "the CRLs" folder_is /var/lib/segel/trust/crl 755 segel-trust segel-trust
check "the OCSP answers" folder_is /var/lib/segel/trust/ocsp 755 segel-trust segel-trust
check "who added and removed authorities" folder_is /var/lib/segel/audit-trust 750 root root
check "the registry" folder_is /var/lib/segel/registry 2750 root segel-registry
check "the socket folder of TLS policies, in Postfix's chroot" folder_is /var/spool/postfix/segel-tlspol 2750 segel-tlspol postfix
for user in segel-submission segel-tlspol; do
	check "$user reads the registry" in_group $user segel-registry
done
check "segel-tlspol may not ask the key agent" refuses in_group segel-tlspol segel-seal
check "a registry of an older installation becomes readable for all of them" old_registry_is_shared
check "README shows contrib/postfix/main.cf" readme_shows contrib/postfix/main.cf
check "README shows contrib/postfix/master.cf" readme_shows contrib/postfix/master.cf
check "README shows contrib/postfix/tls.cf" readme_shows contrib/postfix/tls.cf
check "README shows contrib/postfix/inbound.cf" readme_shows contrib/postfix/inbound.cf
check "README shows contrib/postfix/local.cf" readme_shows contrib/postfix/local.cf
check "README shows contrib/postfix/release.cf" readme_shows contrib/postfix/release.cf

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
