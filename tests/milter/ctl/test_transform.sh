#!/bin/bash
# segelctl encrypt FILE and decrypt FILE: the transforms alone, against openssl cms. Wants $SEGEL_BUILD, the folder of the programs.
set -u
BUILD=$(realpath "${SEGEL_BUILD:?the folder with segelctl, e.g. build/asan}")
CTL=$BUILD/segelctl MKPKI=$BUILD/tests/pki/mkpki
for tool in "$CTL" "$MKPKI"; do
	[ -x "$tool" ] || { echo "$tool is missing; run: make tests"; exit 1; }
done
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
cd "$DIR" || exit 1
passed=0
failed=0

# want NAME CODE PART ARGS...   runs segelctl; PART must be in what it says
want() {
	local name=$1 code=$2 part=$3 got
	shift 3
	"$CTL" "$@" >out 2>err
	got=$?
	if [ $got = "$code" ] && cat out err | grep -qF -- "$part"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name: exit $got, wanted $code and '$part'"
		sed 's/^/    /' out err
	fi
}

# same NAME FILE FILE
same() {
	if cmp -s "$2" "$3"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $1: $2 and $3 differ"
	fi
}

"$MKPKI" --self --out ca --ca --cn CA --from -1d --to +1y --key p256
for key in rsa2048 p256 p384; do
	"$MKPKI" --out $key --ca-of ca --cn $key --from -1d --to +1y --key $key --usage encrypt
done
"$MKPKI" --out sign --ca-of ca --cn Kantor --email a@kota.example --from -1d --to +1y --key p256 --usage sign
printf 'From: a@kota.example\r\nTo: b@prov.example\r\nSubject: Halo\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nIsi rahasia\r\n' >plain.eml
printf 'Content-Type: text/plain\r\n\r\nIsi rahasia\r\n' >entity
"$CTL" seal plain.eml --cert sign.crt --key sign.key >sealed.eml

for key in rsa2048 p256 p384; do
	want "encrypt to $key, GCM" 0 'smime-type=authEnveloped-data' encrypt plain.eml --cert $key.crt --gcm --oaep
	cp out gcm.eml
	openssl cms -decrypt -binary -in gcm.eml -recip $key.crt -inkey $key.key -out opened 2>/dev/null
	same "openssl opens it ($key)" opened entity
	want "decrypt with $key" 0 'Isi rahasia' decrypt gcm.eml --cert $key.crt --key $key.key
	same "and it is as it was ($key)" out plain.eml
	want "encrypt a sealed one to $key, CBC" 0 'smime-type=enveloped-data' encrypt sealed.eml --cert $key.crt
	cp out cbc.eml
	want "decrypt it with $key" 0 'signed inside by' decrypt cbc.eml --cert $key.crt --key $key.key
	grep -v '^segelctl:' out >opened
	tail -5 sealed.eml >a
	tail -5 opened >b
	same "the seal is still there ($key)" a b
	want "one that was not sealed, CBC" 0 'smime-type=enveloped-data' encrypt plain.eml --cert $key.crt
	cp out unsealed.eml
	want "is not given out" 3 'cannot be opened, or nothing proves' decrypt unsealed.eml --cert $key.crt --key $key.key
done
want 'to several' 0 'smime-type=enveloped-data' encrypt sealed.eml --cert rsa2048.crt p256.crt p384.crt
cp out several.eml
for key in rsa2048 p256 p384; do
	want "each opens it ($key)" 0 'Isi rahasia' decrypt several.eml --cert $key.crt --key $key.key
done
want 'a certificate that signs only' 3 "the certificate of 'sign.crt': usage" encrypt plain.eml --cert rsa2048.crt sign.crt
want 'a CA' 3 "the certificate of 'ca.crt': ca" encrypt plain.eml --cert ca.crt
want 'nobody' 2 'to whom?' encrypt plain.eml
want 'no certificate' 4 'certificate' encrypt plain.eml --cert plain.eml
want 'encrypted already' 3 'encrypted already' encrypt gcm.eml --cert rsa2048.crt
want 'somebody else' 1 "none of the recipients' certificates" decrypt gcm.eml --cert rsa2048.crt --key rsa2048.key
want 'not encrypted' 1 'not encrypted' decrypt plain.eml --cert rsa2048.crt --key rsa2048.key
want "another's key" 1 'does not hold' decrypt gcm.eml --cert p384.crt --key rsa2048.key
printf 'keyd: { socket = "%s/nobody.sock"; };\n' "$DIR" >segel.conf
want 'no agent' 4 'key agent' decrypt gcm.eml --cert p384.crt -c segel.conf

echo "$passed passed, $failed failed"
[ $failed = 0 ]
