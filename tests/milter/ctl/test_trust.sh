#!/bin/bash
# segelctl trust add, list and remove as an administrator meets them. openssl makes the authorities and reads what
# was kept. What is fetched: tests/e2e/test_trust.py.
# shellcheck source=tests/milter/ctl/desk.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/desk.sh"
needs openssl jq "$MKPKI"
CTL_ALWAYS=(-c segel.conf trust)

# says NAME PATTERN: the last answer
says() {
	if cat out err | grep -q -- "$2"; then say ok; else say no "$1"; fi
}

json() {
	if jq -e "$2" out >/dev/null 2>>err; then say ok; else say no "$1: $2"; fi
}

# --- authorities ---

CA='basicConstraints=critical,CA:TRUE'
USE='keyUsage=critical,keyCertSign,cRLSign'

# root NAME KEY DIGEST EXTENSION...
root() {
	local name=$1 key=$2 digest=$3 words=()
	shift 3
	for extension in "$@"; do words+=(-addext "$extension"); done
	openssl req -x509 -config /dev/null -newkey "$key" -pkeyopt "${PARAM:-ec_paramgen_curve:P-256}" -nodes -keyout "$name.key" \
		-out "$name.crt" -days 3650 "-$digest" -subj "/C=ID/O=Demo/CN=$name" "${words[@]}" 2>>log
}

# below NAME BY DIGEST DAYS EXTENSIONS   an authority that BY issued
below() {
	openssl req -new -config /dev/null -newkey "${KEY:-ec}" -pkeyopt "${PARAM:-ec_paramgen_curve:P-256}" -nodes -keyout "$1.key" \
		-out "$1.csr" -subj "/C=ID/O=Demo/CN=$1" 2>>log
	printf '%b' "$5" >ext
	openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -set_serial "0x$RANDOM$RANDOM" "-$3" -days "$4" -extfile ext -out "$1.crt" 2>>log
}

hash_of() { openssl x509 -in "$1.crt" -outform DER | sha256sum | cut -d' ' -f1; }

root root ec sha256 "$CA" "$USE"
root partner ec sha384 "$CA" "$USE"
root oldroot ec sha1 "$CA" "$USE"
root leaf ec sha256 basicConstraints=critical,CA:FALSE
root nosign ec sha256 "$CA" keyUsage=critical,cRLSign
PARAM=ec_paramgen_curve:secp256k1 root koblitz ec sha256 "$CA" "$USE"
PARAM=rsa_keygen_bits:1024 root small rsa sha256 "$CA" "$USE"
below issuing root sha256 1000 "$CA\n$USE\n"
below second issuing sha256 1000 "$CA\n$USE\n"
below strange partner sha256 1000 "$CA\n$USE\n"
below nocrl root sha256 1000 "$CA\nkeyUsage=critical,keyCertSign\n"
below sha1 root sha1 1000 "$CA\n$USE\n"
"$MKPKI" --out ends --ca-of root --ca --cn ends --from -2y --to -1d --key p256
"$MKPKI" --out later --ca-of root --ca --cn later --from +1d --to +1y --key p256
PARAM=rsa_keygen_bits:1024 KEY=rsa below weak root sha256 1000 "$CA\n$USE\n"
cat root.crt root.key >withkey.crt
cat root.crt partner.crt >two.crt
openssl x509 -in partner.crt -outform DER -out partner.der
[ -s weak.crt ] && [ -s ends.crt ] && [ -s small.crt ] || { cat log; echo "0 passed, 1 failed"; exit 1; }

mkdir -m 0750 audit
cat >segel.conf <<END
log: { target = "stderr"; };
trust: { dir = "$DIR/trust"; audit_dir = "$DIR/audit"; user = "$(id -u nobody)"; };
END
ROOT=$(hash_of root)
PARTNER=$(hash_of partner)
ISSUING=$(hash_of issuing)
COLONS=$(openssl x509 -in root.crt -noout -fingerprint -sha256 | cut -d= -f2)

# --- add: what is refused, and leaves nothing ---

want "list of nothing" 0 "" list
want "no purpose" 2 "purpose" add root.crt
want "no such purpose" 2 "wanted one of official, partner, issuer" add root.crt --purpose roots
want "a root without a fingerprint" 3 "a root needs --fingerprint" add root.crt --purpose official
says "it is shown all the same" "$ROOT"
says "and where to compare it" "certification practice statement.*not .*the place that you have the file from"
want "the fingerprint of another" 3 "the file's SHA-256 is $ROOT" add root.crt --purpose official --fingerprint "$PARTNER"
says "and where to find the right one" "certification practice statement.*not .*the place that you have the file from"
want "the right one of a file that somebody changed" 3 "the file's SHA-256 is $PARTNER" add partner.crt --purpose official --fingerprint "$ROOT"
says "where to ask before using it" "certification practice statement"
want "of SHA-1" 2 "40 hex digits are a SHA-1; ask the authority for the SHA-256" add root.crt --purpose official \
	--fingerprint "$(openssl x509 -in root.crt -noout -fingerprint -sha1 | cut -d= -f2)"
want "in pairs, as it is printed" 0 "dry run" add root.crt --purpose official --fingerprint "$(sed 's/../& /g' <<<"$ROOT")" --dry-run
want "in groups of four, upper case" 0 "dry run" add root.crt --purpose official --fingerprint "$(sed 's/..../& /g' <<<"${ROOT^^}")" --dry-run
want "in pairs, one digit other" 3 "nothing was added" add root.crt --purpose official --fingerprint "$(sed 's/../& /g' <<<"${PARTNER}")" --dry-run
want "blanks only" 2 "is no SHA-256" add root.crt --purpose official --fingerprint "   " --dry-run
want "a fingerprint that is none" 2 "is no SHA-256" add root.crt --purpose official --fingerprint "${ROOT%?}"
want "no authority" 3 "basicConstraints do not say CA" add leaf.crt --purpose official --fingerprint "$(hash_of leaf)"
want "may not sign certificates" 3 "keyCertSign" add nosign.crt --purpose official --fingerprint "$(hash_of nosign)"
want "RSA-1024" 3 "its RSA key has 1024 bits" add small.crt --purpose official --fingerprint "$(hash_of small)"
want "an odd curve" 3 "neither RSA nor on P-256" add koblitz.crt --purpose official --fingerprint "$(hash_of koblitz)"
want "no root" 3 "it is no root" add issuing.crt --purpose official --fingerprint "$ISSUING"
want "a root as issuer" 3 "it is a root" add root.crt --purpose issuer
want "an issuer without its root" 3 "no authority here issued it" add issuing.crt --purpose issuer
want "a private key in the file" 3 "private key" add withkey.crt --purpose official --fingerprint "$ROOT"
want "two in a file" 3 "more than one certificate" add two.crt --purpose official --fingerprint "$ROOT"
want "no certificate" 3 "no certificate" add segel.conf --purpose official --fingerprint "$ROOT"
want "no file" 3 "cannot be opened" add missing.crt --purpose official --fingerprint "$ROOT"
want "a URL of a file" 2 "wanted http" add root.crt --purpose official --fingerprint "$ROOT" --crl file:///etc/passwd
want "a URL with a line end" 2 "without blanks" add root.crt --purpose official --fingerprint "$ROOT" --crl "http://a.example/
Purpose: official"
want "too many URLs" 2 "more than 4" add root.crt --purpose official --fingerprint "$ROOT" --crl http://a/ http://b/ http://c/ http://d/ http://e/
want "a dry run" 0 "dry run" add root.crt --purpose official --fingerprint "$ROOT" --dry-run
holds "nothing was made" test ! -e trust
holds "nothing was recorded" test ! -e audit/trust.audit

# --- add: what is kept ---

umask 077
want "a root" 0 "added as official" add root.crt --purpose official --fingerprint "$COLONS" --crl http://crl.example.go.id/root.crl \
	http://crl2.example.go.id/root.crl
umask 022
holds "the record comes with it" grep -q " trust-add id=$ROOT purpose=official subject=.* by=root" audit/trust.audit
want "in DER, with a sha1 self-signature's like" 0 "added as partner" add partner.der --purpose partner --fingerprint "$PARTNER"
says "without sources it says so" "status unknown"
want "a root whose own signature is SHA-1" 0 "added as official" add oldroot.crt --purpose official --fingerprint "$(hash_of oldroot)"
want "an issuer" 0 "added as issuer" add issuing.crt --purpose issuer --crl https://crl.example.go.id:8443/i.crl --ocsp http://ocsp.example.go.id
want "an issuer below an issuer" 0 "added as issuer" add second.crt --purpose issuer
want "already there" 3 "there already, as official" add root.crt --purpose partner --fingerprint "$ROOT"
want "an issuer signed with SHA-1" 3 "signed with MD5, SHA-1" add sha1.crt --purpose issuer
want "an issuer with RSA-1024" 3 "1024 bits" add weak.crt --purpose issuer
want "an expired issuer" 3 "has expired" add ends.crt --purpose issuer
want "one of tomorrow" 3 "not valid yet" add later.crt --purpose issuer
want "--crl of one that may sign none" 3 "does not allow it to sign CRLs" add nocrl.crt --purpose issuer --crl http://a.example/
want "without --crl it may be added" 0 "added as issuer" add nocrl.crt --purpose issuer

want "list" 0 "crl2.example.go.id" list
want "list as JSON" 0 "" list --json
json "all are listed" 'length == 6'
json "the root" '.[] | select(.id == "'"$ROOT"'") | .purpose == "official" and .by == "root" and .key == "p256"
	and .crl == "http://crl.example.go.id/root.crl http://crl2.example.go.id/root.crl" and .ocsp == null'
json "the issuer" '.[] | select(.id == "'"$ISSUING"'") | .purpose == "issuer" and .ocsp == "http://ocsp.example.go.id"'

# Another program reads the same certificate in the file, and may read it at all.
FILE=trust/anchors/official/$ROOT.pem
holds "openssl reads it" cmp <(openssl x509 -in "$FILE" -outform DER) <(openssl x509 -in root.crt -outform DER)
holds "everybody may read it" test "$(stat -c %a "$FILE")" = 644
holds "folders too" test "$(stat -c %a trust trust/anchors/official trust/crl | sort -u)" = 755
holds "only root may write anchors" test "$(stat -c %U trust/anchors trust/anchors/official trust | sort -u)" = root
holds "the fetcher's folders are the fetcher's" test "$(stat -c %U trust/crl trust/ocsp trust/state | sort -u)" = nobody
holds "no leftovers" test -z "$(find trust -name '.new-*')"
holds "readers are told" test -e trust/generation

# --- what does not fit in the folder ---

cp "$FILE" trust/anchors/official/root.pem
want "a file under another name" 0 "is called otherwise than $ROOT.pem" list
rm trust/anchors/official/root.pem
sed -i 's|^CRL: http://crl2.*|CRL: file:///etc/passwd|' "$FILE"
want "a URL changed by hand" 0 "is no URL" list --json
json "that authority is not taken" 'length == 5'
sed -i 's|^CRL: file.*|CRL: http://crl2.example.go.id/root.crl|' "$FILE"
touch trust/anchors/official/.new-abcdef
want "a leftover of a kill is none" 0 "" list --json
json "all are there again" 'length == 6'

# --- remove ---

want "without a reason" 2 "reason" remove "$ROOT"
want "no such authority" 1 "no authority begins with" remove 0000000000000000 --reason x
want "no number" 1 "is no SHA-256" remove root --reason x
want "a dry run of it" 0 "dry run" remove "${ROOT:0:12}" --reason x --dry-run
holds "still there" test -e "$FILE"
before=$(stat -c %i:%y trust/generation)
touch "trust/crl/$ROOT.crl"
want "remove" 0 "removed" remove "$(tr a-f A-F <<<"${ROOT:0:12}")" --reason "kunci bocor"
says "who is left without a path is named" "it issued .*CN=issuing.*still there"
holds "gone" test ! -e "$FILE"
holds "its CRL too" test ! -e "trust/crl/$ROOT.crl"
holds "on record" grep -q " trust-remove id=$ROOT .*by=root reason=kunci%20bocor" audit/trust.audit
holds "readers are told of it" test "$before" != "$(stat -c %i:%y trust/generation)"
holds "the chain of records holds" "$CTL" -c segel.conf audit verify audit/trust.audit

# --- where it cannot be recorded, nothing changes ---

rm -rf audit
want "no folder for the record" 4 "nothing was changed" add root.crt --purpose official --fingerprint "$ROOT"
holds "nothing came" test ! -e "$FILE"
want "no removal either" 4 "nothing was changed" remove "$PARTNER" --reason x
holds "it is still there" test -e "trust/anchors/partner/$PARTNER.pem"
echo 'trust: { url = "http://a.example/"; };' >segel.conf
want "settings with a fault" 4 "no such setting" list

finish
