/*
 * opening KEY.pem CERT.pem [ROUNDS]: does the time of opening a block of RSA v1.5 tell whether it was a good one? Blocks of four sorts,
 * BLOCKS of each, in a random order, each timed by itself; each sort against the good ones by Welch's t over what is left when the
 * slowest tenth (interrupts) is cut off. "opening SORT median NS difference NS t-squared T". Exit status 1 where t is more than ten and the
 * medians differ by more than a thousandth.
 *
 * Beyond the modulus is no sort of these: a block's value is no secret.
 */
#include "tests/bench/bench.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "smime/key.h"

enum { BLOCKS = 500, BLOCK_BYTES = 256, CONTENT = 32 };
static const double most_t_squared = 100; /* Welch's t of 10 */

enum sort { GOOD, WRONG_TYPE, ZERO_IN_PADDING, NOISE, N_SORTS };
static const char *const sort_names[] = { "good", "wrong-type", "zero-in-padding", "noise" };

struct samples {
	double *ns;
	size_t n;
};

/* 00 02, padding, 00, content; or what is wrong with it. */
static void
encode(enum sort sort, unsigned char em[BLOCK_BYTES])
{
	must(RAND_bytes(em, BLOCK_BYTES) == 1, "no random bytes");
	em[0] = 0;
	if (sort == NOISE)
		return;
	for (size_t i = 2; i < BLOCK_BYTES - CONTENT - 1; i++)
		em[i] |= 1;
	em[1] = sort == WRONG_TYPE ? 1 : 2;
	em[BLOCK_BYTES - CONTENT - 1] = 0;
	if (sort == ZERO_IN_PADDING)
		em[100] = 0;
}

static void
encrypt(EVP_PKEY *pkey, const unsigned char em[BLOCK_BYTES], unsigned char ret[BLOCK_BYTES])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	size_t len = BLOCK_BYTES;

	must(ctx && EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1
	    && EVP_PKEY_encrypt(ctx, ret, &len, em, BLOCK_BYTES) == 1 && len == BLOCK_BYTES, "no block; the key must be RSA-2048");
	EVP_PKEY_CTX_free(ctx);
}

static EVP_PKEY *
public_key(const char *file)
{
	FILE *in = fopen(file, "re");
	X509 *cert = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
	EVP_PKEY *pkey = cert ? X509_get_pubkey(cert) : NULL;

	must(pkey != NULL, "the certificate cannot be read");
	X509_free(cert);
	fclose(in);
	return pkey;
}

static double
time_of(const struct key *key, const unsigned char block[BLOCK_BYTES])
{
	const struct key_transport how = { .padding = KEY_PADDING_V15, .content_len = CONTENT, .block = { block, BLOCK_BYTES } };
	unsigned char content[KEY_CONTENT_BYTES];
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	const double begin = clock_now(CLOCK_MONOTONIC);
	struct err err;

	must(key_unwrap_mail(key, &how, content, &opening, &err) == 0 && opening == KEY_OPENED, "a block was refused");
	return (clock_now(CLOCK_MONOTONIC) - begin) * 1e3;
}

static void
moments(const struct samples *samples, double *mean, double *variance_of_mean)
{
	const size_t n = samples->n / 10 * 9;
	double sum = 0, squares = 0;

	for (size_t i = 0; i < n; i++)
		sum += samples->ns[i];
	*mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (samples->ns[i] - *mean) * (samples->ns[i] - *mean);
	*variance_of_mean = squares / (double)(n - 1) / (double)n;
}

/* Sorted, both. */
static bool
report(enum sort sort, const struct samples *samples, const struct samples *good)
{
	double mean, variance, good_mean, good_variance, t_squared;
	const double median = samples->ns[samples->n / 2], difference = median - good->ns[good->n / 2];

	moments(samples, &mean, &variance);
	moments(good, &good_mean, &good_variance);
	t_squared = (mean - good_mean) * (mean - good_mean) / (variance + good_variance);
	printf("opening %s median %.0f difference %.0f t-squared %.1f\n", sort_names[sort], median, difference, t_squared);
	return t_squared <= most_t_squared || (difference < median / 1000 && difference > -median / 1000);
}

int
main(int argc, char **argv)
{
	const size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 40000;
	static unsigned char blocks[N_SORTS][BLOCKS][BLOCK_BYTES];
	struct samples samples[N_SORTS] = { 0 };
	unsigned short seed[3] = { 7, 7, 7 };
	struct key *key = NULL;
	EVP_PKEY *pkey;
	struct err err;
	bool good = true;

	must(argc >= 3, "usage: opening KEY.pem CERT.pem [ROUNDS]");
	must(key_load(argv[1], NULL, true, &key, &err) == 0, "the key cannot be read");
	pkey = public_key(argv[2]);
	for (size_t i = 0; i < N_SORTS * BLOCKS; i++) {
		unsigned char em[BLOCK_BYTES];

		encode((enum sort)(i % N_SORTS), em);
		encrypt(pkey, em, blocks[i % N_SORTS][i / N_SORTS]);
	}
	for (size_t i = 0; i < N_SORTS; i++)
		samples[i].ns = xcalloc(rounds, sizeof(double));
	for (size_t i = 0; i < rounds; i++) {
		size_t sort = (size_t)nrand48(seed) % N_SORTS;

		samples[sort].ns[samples[sort].n++] = time_of(key, blocks[sort][(size_t)nrand48(seed) % BLOCKS]);
	}
	for (size_t i = 0; i < N_SORTS; i++) {
		must(samples[i].n >= 100, "too few rounds");
		qsort(samples[i].ns, samples[i].n, sizeof(double), by_size);
	}
	for (size_t i = 0; i < N_SORTS; i++)
		good = report((enum sort)i, &samples[i], &samples[GOOD]) && good;
	for (size_t i = 0; i < N_SORTS; i++)
		free(samples[i].ns);
	EVP_PKEY_free(pkey);
	key_free(key);
	return good ? 0 : 1;
}
