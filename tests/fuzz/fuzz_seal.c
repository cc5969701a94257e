/*
 * Sealing whatever may be sealed: OpenSSL's own reader must find the signature good, and nothing
 * may stand in the result that a later hop would change.
 */
#include "tests/fuzz/fuzz.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smime/cert.h"
#include "smime/inspect.h"
#include "smime/part.h"
#include "smime/seal.h"

static struct key *key;
static struct buf cert;

static void
load(const char *folder)
{
	char path[128];
	struct err err = { .text = "" };
	unsigned char bytes[LIMIT_CERT_BYTES];
	FILE *file;

	snprintf(path, sizeof(path), "%s/k.key", folder);
	if (key_load(path, NULL, true, &key, &err) == -1)
		fprintf(stderr, "%s\n", err.text);
	snprintf(path, sizeof(path), "%s/k.der", folder);
	file = fopen(path, "re");
	fuzz_must(key && file, "a key and its certificate");
	buf_init(&cert, LIMIT_CERT_BYTES);
	buf_add(&cert, bytes, fread(bytes, 1, sizeof(bytes), file));
	fclose(file);
}

/* mkpki lies beside us: .../tests/fuzz/fuzz_seal, .../tests/pki/mkpki. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char self[512] = "", folder[] = "/tmp/segel-fuzz-XXXXXX", command[2048];

	(void)argc;
	(void)argv;
	fuzz_must(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && mkdtemp(folder), "a folder of our own");
	*strrchr(self, '/') = '\0';
	snprintf(command, sizeof(command), "%s/../pki/mkpki --self --out %s/k --cn Kantor --email k@kota.go.id "
	    "--from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z --key p256 --usage sign --eku email >/dev/null", self, folder);
	fuzz_must(system(command) == 0, "mkpki");
	load(folder);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	fuzz_must(system(command) == 0, "rm");
	return 0;
}

static void
judge(const struct sealed *sealed)
{
	AUTO_BUF struct buf mail = { 0 };
	BIO *in, *content = NULL;
	CMS_ContentInfo *cms;

	buf_init(&mail, 1024 * 1024);
	buf_printf(&mail, "MIME-Version: 1.0\r\nContent-Type: %s\r\n", sealed->content_type);
	if (sealed->transfer_encoding)
		buf_printf(&mail, "Content-Transfer-Encoding: %s\r\n", sealed->transfer_encoding);
	buf_add_text(&mail, "\r\n");
	for (size_t i = 0; i < sealed->n_body; i++) {
		fuzz_must(!(line_flags(sealed->body[i]) & (LINE_8BIT | LINE_NUL)), "the sealed body is 7-bit");
		buf_add_slice(&mail, sealed->body[i]);
	}
	in = BIO_new_mem_buf(mail.at, (int)mail.len);
	cms = SMIME_read_CMS(in, &content);
	fuzz_must(cms != NULL, "OpenSSL reads it");
	fuzz_must(CMS_verify(cms, NULL, NULL, content, NULL, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1, "OpenSSL finds it good");
	CMS_ContentInfo_free(cms);
	BIO_free(content);
	BIO_free(in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	AUTO(seal_free) struct sealed *sealed = NULL;
	struct message_facts facts = { 0 };
	struct err err = { .text = "" };
	struct seal_request request = {
		.message = { bytes, len }, .facts = &facts, .cert = buf_slice(&cert), .signer = key_signer(key),
		.form = len % 2 ? SEAL_CLEAR : SEAL_OPAQUE, .now = 1790000000,
	};

	if (smime_inspect(request.message, &facts, &err) == -1 || facts.mime != MIME_CLEAR || facts.outer != LAYER_NONE || facts.limit[0])
		return 0;
	if (smime_seal(&request, &sealed, &err) == -1)
		fprintf(stderr, "%s\n", err.text);
	fuzz_must(sealed != NULL, "a clear message can be sealed");
	judge(sealed);
	return 0;
}
