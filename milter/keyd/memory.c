#include "milter/keyd/memory.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	HEAP_BYTES = 1024 * 1024, /* an RSA-4096 key takes about 4 KiB */
	HEAP_LEAST = 32,
	ARENAS = 2, /* each thread's own would be locked too */
};

int
memory_secure_heap(struct err *err)
{
	int done = CRYPTO_secure_malloc_init(HEAP_BYTES, HEAP_LEAST);

	if (done == 1)
		return 0;
	if (done == 0)
		return err_set(err, ERR_TEMP, "OpenSSL's secure heap cannot be set up");
	return err_set(err, ERR_CONFIG, "OpenSSL's secure heap is not locked in memory; set LimitMEMLOCK=infinity");
}

/* Whether what is mapped later may be locked without end. Root may grant it to itself, and keeps it as another user. */
static bool
unlimited(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (geteuid() == 0)
		(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == -1)
		return false;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	return limit.rlim_max == RLIM_INFINITY;
}

/*
 * MCL_FUTURE under a limit would make some later allocation fail, in the middle of work; then
 * only what is there now is locked. The secure heap is, either way.
 */
int
memory_lock(struct err *err)
{
	bool future = unlimited();

	mallopt(M_ARENA_MAX, ARENAS);
	if (mlockall(future ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT) == -1)
		return err_set(err, ERR_CONFIG, "memory outside OpenSSL's secure heap is not locked and may go to swap: %s; "
		    "set LimitMEMLOCK=infinity", strerror(errno));
	if (!future)
		return err_set(err, ERR_CONFIG, "memory allocated from now on may go to swap; set LimitMEMLOCK=infinity");
	return 0;
}
