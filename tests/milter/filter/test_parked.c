/*
 * What is parked comes back byte for byte, into memory or into another file; what cannot be parked changes nothing; and
 * nobody finds it by a name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "milter/filter/message.h"
#include "milter/filter/originals.h"
#include "smime/hash.h"

#define HEADERS "From: budi@kota.example\r\nSubject: a\r\n fold\r\n\r\n"

enum { LARGE_BYTES = 3 * 1024 * 1024 + 17 };

static char folder[64];

static int
make_folder(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	snprintf(folder, sizeof(folder), "/tmp/segel-parked-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static size_t
names_in(const char *dir)
{
	DIR *open_dir = opendir(dir);
	size_t n = 0;

	assert_non_null(open_dir);
	while (readdir(open_dir))
		n++;
	closedir(open_dir);
	return n - 2;
}

/* Every byte from 0 to 255, in no short period. */
static void
fill(size_t len, struct buf *ret)
{
	unsigned char piece[251];

	buf_init(ret, LIMIT_MESSAGE_BYTES);
	buf_add_text(ret, HEADERS);
	for (unsigned i = 0; ret->len < len; i++) {
		const size_t rest = len - ret->len;

		for (size_t j = 0; j < sizeof(piece); j++)
			piece[j] = (unsigned char)(i * 7 + j);
		buf_add(ret, piece, rest < sizeof(piece) ? rest : sizeof(piece));
	}
}

static void
sha256_of(struct slice bytes, unsigned char ret[32])
{
	struct hash *hash = hash_new();

	hash_add(hash, bytes);
	hash_end(&hash, ret);
}

static void
check_file(const char *path, const unsigned char want[32])
{
	FILE *in = fopen(path, "re");
	AUTO_BUF struct buf bytes = { 0 };
	unsigned char got[32];
	char piece[4096];
	size_t n;

	assert_non_null(in);
	buf_init(&bytes, LIMIT_MESSAGE_BYTES);
	while ((n = fread(piece, 1, sizeof(piece), in)) > 0)
		buf_add(&bytes, piece, n);
	fclose(in);
	sha256_of(buf_slice(&bytes), got);
	assert_memory_equal(got, want, sizeof(got));
}

static void
check_message(const struct message *message, const unsigned char want[32])
{
	unsigned char got[32];

	sha256_of(buf_slice(&message->bytes), got);
	assert_memory_equal(got, want, sizeof(got));
	assert_null(message->parked);
}

/* Lent, overwritten, restored; kept as an original meanwhile. */
static void
test_restored(void **state)
{
	static const size_t sizes[] = { sizeof(HEADERS) - 1, 4096, 64 * 1024, 64 * 1024 + 1, LARGE_BYTES };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
		struct message message = { .id = "surat.1" };
		AUTO_BUF struct buf lent = { 0 };
		AUTO(xfree) char *keep = xasprintf("%s/keep-%zu", folder, i), *path = NULL;
		char name[ORIGINAL_NAME_BYTES];
		unsigned char want[32];
		const size_t before = names_in(folder);
		struct err err = { ERR_NONE, "" };

		fill(sizes[i], &message.bytes);
		sha256_of(buf_slice(&message.bytes), want);
		assert_int_equal(message_lend(&message, folder, &lent, &err), 0);
		assert_int_equal(names_in(folder), before);
		assert_int_equal(lent.len, sizes[i]);
		assert_true(slice_equal(buf_slice(&message.bytes), slice_of(HEADERS)));
		memset(lent.at, 'x', lent.len);
		buf_done(&lent);
		assert_int_equal(originals_keep(keep, &message, 1790000000, name, &err), 0);
		path = xasprintf("%s/%s", keep, name);
		check_file(path, want);
		assert_int_equal(message_restore(&message, &err), 0);
		check_message(&message, want);
		assert_false(buf_full(&message.bytes));
		assert_int_equal(message_restore(&message, &err), 0); /* nothing to do */
		check_message(&message, want);
		buf_done(&message.bytes);
	}
}

static void
test_given_back(void **state)
{
	struct message message = { .id = "surat.2" };
	AUTO_BUF struct buf lent = { 0 };
	unsigned char want[32];
	const unsigned char *at;
	struct err err = { ERR_NONE, "" };

	(void)state;
	fill(LARGE_BYTES, &message.bytes);
	at = message.bytes.at;
	sha256_of(buf_slice(&message.bytes), want);
	assert_int_equal(message_lend(&message, folder, &lent, &err), 0);
	message_give_back(&message, &lent);
	assert_ptr_equal(message.bytes.at, at);
	assert_null(lent.at);
	check_message(&message, want);
	buf_done(&message.bytes);
}

/* No folder, no room: an error that names it, and the message is as it was. */
static void
test_no_room(void **state)
{
	struct message message = { .id = "surat.3" };
	AUTO_BUF struct buf lent = { 0 };
	struct rlimit before, small = { 64 * 1024, 64 * 1024 };
	unsigned char want[32];
	const size_t names = names_in(folder);
	struct err err = { ERR_NONE, "" };

	(void)state;
	fill(LARGE_BYTES, &message.bytes);
	sha256_of(buf_slice(&message.bytes), want);
	assert_int_equal(message_lend(&message, "/nonexistent/state", &lent, &err), -1);
	assert_non_null(strstr(err.text, "'/nonexistent/state'"));
	getrlimit(RLIMIT_FSIZE, &before);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(message_lend(&message, folder, &lent, &err), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(err.text, "cannot be parked"));
	assert_null(lent.at);
	check_message(&message, want);
	assert_int_equal(names_in(folder), names);
	buf_done(&message.bytes);
}

/* The file that this process has open and nobody finds: cut, as a disk that loses it would. */
static int
nameless(void)
{
	for (int fd = 3; fd < 256; fd++) {
		char path[64], target[256] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, folder) && strstr(target, "(deleted)"))
			return fd;
	}
	return -1;
}

/* What has become shorter is no message: nothing of it comes back, and no original is kept. */
static void
test_cut(void **state)
{
	struct message message = { .id = "surat.4" };
	AUTO_BUF struct buf lent = { 0 };
	AUTO(xfree) char *keep = xasprintf("%s/keep-cut", folder);
	char name[ORIGINAL_NAME_BYTES];
	struct err err = { ERR_NONE, "" };
	int fd;

	(void)state;
	fill(LARGE_BYTES, &message.bytes);
	assert_int_equal(nameless(), -1);
	assert_int_equal(message_lend(&message, folder, &lent, &err), 0);
	fd = nameless();
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(ftruncate(fd, LARGE_BYTES - 1), 0);
	assert_int_equal(message_restore(&message, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_non_null(strstr(err.text, "shorter"));
	assert_true(slice_equal(buf_slice(&message.bytes), slice_of(HEADERS)));
	assert_int_equal(originals_keep(keep, &message, 1790000000, name, &err), -1);
	assert_non_null(strstr(err.text, "decrypt.keep_dir"));
	assert_int_equal(names_in(keep), 0);
	parked_free(TAKE(message.parked));
	assert_int_equal(nameless(), -1);
	buf_done(&message.bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
