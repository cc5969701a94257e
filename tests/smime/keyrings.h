/*
 * keyrings: the key stores of gpgsm (gpg/) and of NSS (nss/) in the working directory, with the
 * authority ca.crt trusted and one RSA key, NAME.key with NAME.crt, called NAME in NSS.
 */
#ifndef TESTS_SMIME_KEYRINGS_H
#define TESTS_SMIME_KEYRINGS_H

#include "tests/smime/world.h"

#define KEYRING_TRIES 10

/* gpgsm 2.2 cannot read every PKCS#12 file, by the salt that it happens to have (about one of 60): another one then. */
static inline UNUSED void
keyring_import(const char *name)
{
	for (int i = 0; i < KEYRING_TRIES; i++) {
		assert_int_equal(run("openssl pkcs12 -export -legacy -in %s.crt -inkey %s.key -name %s -passout pass:x -out %s.p12", name, name, name, name), 0);
		if (run("echo x | GNUPGHOME=$PWD/gpg gpgsm --quiet --pinentry-mode loopback --passphrase-fd 0 --import %s.p12 2>>gpg.log", name) == 0)
			return;
	}
	fail_msg("gpgsm imports none of %d PKCS#12 files; its reasons are in gpg.log", KEYRING_TRIES);
}

static inline UNUSED void
keyrings_open(const char *name)
{
	assert_int_equal(run("mkdir -m 700 gpg && (openssl x509 -in ca.crt -noout -fingerprint -sha1 | sed 's/.*=//' | tr -d '\\n'; echo ' S relax') > gpg/trustlist.txt"
	    " && printf 'disable-crl-checks\\nbatch\\n' > gpg/gpgsm.conf && printf 'disable-scdaemon\\nallow-preset-passphrase\\nallow-loopback-pinentry\\n' > gpg/gpg-agent.conf"
	    " && mkdir nss && certutil -N -d sql:nss --empty-password && certutil -A -d sql:nss -n ca -t C,C,C -a -i ca.crt"
	    " && GNUPGHOME=$PWD/gpg gpgsm --quiet --import ca.crt 2>gpg.log"), 0);
	keyring_import(name);
	assert_int_equal(run("pk12util -i %s.p12 -d sql:nss -W x -K '' >nss.log 2>&1", name), 0);
}

static inline UNUSED void
keyrings_close(void)
{
	run("GNUPGHOME=$PWD/gpg gpgconf --kill all 2>/dev/null");
}

#endif
