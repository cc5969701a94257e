# What contrib/demo and contrib/check share: installing what contrib/packages lists, by name and
# only what is missing, and building with signs of life.  install_packages build demo
#
# Nothing is asked of apt, and no network is needed, where everything is there. No service is
# started by an installation made here. Where another mail server is installed (or with
# SEGEL_POSTFIX=private) Postfix is not installed but unpacked into $private_postfix, from where
# tests/e2e/mta.py runs it; the system's own mail server stays as it is. Sendmail, which the tests
# need as well, is only ever unpacked (into $private_sendmail), by unpack_sendmail.

contrib=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
private_postfix=${SEGEL_POSTFIX_DIR:-/var/cache/segel-demo/postfix}
private_sendmail=${SEGEL_SENDMAIL_DIR:-/var/cache/segel-demo/sendmail}
policy_guard=/usr/sbin/policy-rc.d

say() {
	printf '%s\n' "$*" >&2
}

# The names in the given sections, each once.
packages_of() {
	awk -v wanted=" $* " '
		{ sub(/#.*/, "") }
		/^\[/ { gsub(/[][ \t]/, ""); on = index(wanted, " " $0 " ") > 0; next }
		on && NF && !seen[$1]++ { print $1 }
	' "$contrib/packages"
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Some other program is the system's mail server.
has_other_mta() {
	is_installed postfix && return 1
	[ -e /usr/sbin/sendmail ] && return 0
	dpkg-query -W -f '${db:Status-Status} ${Provides},\n' 2>/dev/null |
		grep -q '^installed .*\bmail-transport-agent\b'
}

wants_private_postfix() {
	[ "${SEGEL_POSTFIX:-}" = private ] || has_other_mta
}

# The names on standard input that are not there yet.
missing_packages() {
	local name
	while read -r name; do
		if [ "$name" = postfix ] && wants_private_postfix; then
			continue
		fi
		is_installed "$name" || printf '%s\n' "$name"
	done
}

# While packages are installed nothing may start a service; a guard of somebody else's stays.
with_services_held() {
	local status=0 ours=no
	if [ ! -e "$policy_guard" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy_guard" && chmod 755 "$policy_guard" && ours=yes
		trap 'rm -f "$policy_guard"; exit 130' INT TERM
	fi
	"$@" || status=$?
	if [ "$ours" = yes ]; then
		rm -f "$policy_guard"
		trap - INT TERM
	fi
	return "$status"
}

# Refreshed once per run, and only when something has to be fetched.
apt_lists_fresh=no
refresh_apt_lists() {
	[ "$apt_lists_fresh" = yes ] && return 0
	say "  asking apt for its lists ..."
	apt_quietly update || return
	apt_lists_fresh=yes
}

# apt's own words are shown only where it fails.
apt_quietly() {
	local output status=0
	output=$(DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 "$@" </dev/null 2>&1) || status=$?
	[ "$status" -eq 0 ] || printf '%s\n' "$output" | tail -n 20 >&2
	return "$status"
}

install_one() {
	say "  installing $1 ..."
	if [ "$1" = postfix ]; then
		# "No configuration": no main.cf is written, so there is nothing that could be started.
		echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections || return
	fi
	apt_quietly install --no-install-recommends "$1" && is_installed "$1" && return
	say "cannot install the Debian package '$1' (its failure is above);"
	say "install it by hand (apt-get install $1) or give this machine access to its Debian mirror, then start again"
	return 1
}

install_missing() {
	local name
	for name in "$@"; do
		is_installed "$name" || install_one "$name" || return
	done
}

must_be_root_to_install() {
	[ "$(id -u)" -eq 0 ] && return
	say "these Debian packages are missing: $*"
	say "only root can install them; start this command as root, or: apt-get install $*"
	return 1
}

# What the unpacked Postfix needs: of each group of alternatives the first, unless one is there.
private_postfix_needs() {
	dpkg-deb -f "$1" Pre-Depends Depends | sed 's/^[A-Za-z-]*://' | tr '\n' ',' | sed 's/([^)]*)//g' | tr -d ' ' |
		tr ',' '\n' | while IFS='|' read -r first others; do
		[ -n "$first" ] || continue
		any_installed "$first" ${others//|/ } || printf '%s\n' "${first%%:*}"
	done
}

any_installed() {
	local name
	for name in "$@"; do
		is_installed "$name" && return
	done
	return 1
}

unpack_private_postfix() {
	[ -e "$private_postfix/unpacked" ] && return
	must_be_root_to_install postfix || return
	say "  fetching Postfix into $private_postfix (the mail server of this machine stays as it is) ..."
	refresh_apt_lists || return
	rm -rf "$private_postfix"
	mkdir -p "$private_postfix/deb" || return
	(cd "$private_postfix/deb" && apt_quietly -o APT::Sandbox::User=root download postfix) || {
		say "cannot fetch the Debian package 'postfix' (apt's failure is above)"
		return 1
	}
	dpkg-deb -x "$private_postfix"/deb/postfix_*.deb "$private_postfix/root" || return
	# shellcheck disable=SC2046 # package names hold no blanks
	with_services_held install_missing $(private_postfix_needs "$private_postfix"/deb/postfix_*.deb) || return
	touch "$private_postfix/unpacked"
}

# The programs lose their set-group-id bit: with it the loader would not look for libraries in a folder of ours.
unpack_sendmail() {
	local package
	[ -e "$private_sendmail/unpacked" ] && return
	must_be_root_to_install sendmail-bin || return
	say "  fetching Sendmail into $private_sendmail (the mail server of this machine stays as it is) ..."
	refresh_apt_lists || return
	rm -rf "$private_sendmail"
	mkdir -p "$private_sendmail/deb" || return
	# shellcheck disable=SC2046 # package names hold no blanks
	(cd "$private_sendmail/deb" && apt_quietly -o APT::Sandbox::User=root download $(packages_of unpacked)) || {
		say "cannot fetch these Debian packages: $(packages_of unpacked | tr '\n' ' ')(apt's failure is above);"
		say "give this machine access to its Debian mirror, then start again"
		return 1
	}
	for package in "$private_sendmail"/deb/*.deb; do
		dpkg-deb -x "$package" "$private_sendmail/root" || return
	done
	find "$private_sendmail/root" -type f -perm /6000 -exec chmod ug-s {} + || return
	touch "$private_sendmail/unpacked"
}

install_packages() {
	local missing
	missing=$(packages_of "$@" | missing_packages | tr '\n' ' ')
	if [ -n "${missing% }" ]; then
		# shellcheck disable=SC2086 # package names hold no blanks
		must_be_root_to_install $missing || return
		say "Debian packages to install: $missing"
		refresh_apt_lists || return
		# shellcheck disable=SC2086
		with_services_held install_missing $missing || return
	fi
	if packages_of "$@" | grep -qx postfix && wants_private_postfix; then
		unpack_private_postfix
	fi
}

# make's words are shown only where it fails; a dot for every file shows that it lives.
build_with_dots() {
	local log status
	log=$(mktemp) || return
	make -j2 "$@" </dev/null 2>&1 | tee "$log" | dots
	status=${PIPESTATUS[0]}
	if [ "$status" -ne 0 ]; then
		tail -n 60 "$log" >&2
		say "the build failed; its last words are above"
	fi
	rm -f "$log"
	return "$status"
}

dots() {
	local line seen=no
	while IFS= read -r line; do
		case $line in
		'  '* | *' -c '*)
			printf . >&2
			seen=yes
			;;
		esac
	done
	[ "$seen" = no ] || printf '\n' >&2
}
