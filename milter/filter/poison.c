#include "milter/filter/poison.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/filter/poison_list.h"
#include "milter/log.h"
#include "policy/registry/sha256.h"

enum {
	N_SLOTS = 256,             /* messages in hand at once; those beyond it are judged without a slot */
	SUSPECTED_TOO_OFTEN = 2,
	MOST_TIMES = 99999,
	STACK_BYTES = 64 * 1024,   /* for the handler, where a message has used up its thread's stack */
};

static const char slots_magic[16] = "segel-poison-1\n";

/* ---- the slots: mapped from DIR/poison.slots ---- */

/* What lies in a slot comes from another process, so any value is possible. */
enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_FAULTED };

struct slot {
	_Atomic uint32_t state;
	_Atomic uint32_t thread; /* its number at the kernel; 0 = none */
	_Atomic uint32_t signal; /* with SLOT_FAULTED */
	unsigned char hash[32];
};

struct slots {
	char magic[16];
	unsigned char process[16]; /* drawn anew by each: what it left is counted once */
	struct slot at[N_SLOTS];
};

struct poison {
	char *dir;
	int slots_fd; /* locked for as long as it is open */
	struct slots *slots;
	unsigned char *stacks; /* STACK_BYTES for each slot */
	stack_t old_stacks[N_SLOTS];

	pthread_mutex_t lock; /* guards the list, and who takes which slot */
	struct poison_list list;
};

/* ---- the handler ---- */

static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU };

/*
 * The one thing here that is writable for all: a signal handler is given nothing of ours. Set before
 * there are threads, read by the handler only.
 */
static struct {
	_Atomic(struct slots *) slots;
	struct sigaction old[N_ELEMENTS(fatal_signals)];
} handler;

/* Somebody else's wish (a watchdog's, an administrator's) is no fault of the thread that it happens to meet. */
static bool
is_own_fault(const siginfo_t *info)
{
	return info->si_code > 0 || (info->si_code == SI_TKILL && info->si_pid == getpid());
}

/* Run again with the old action in place, the instruction faults again, and a core shows it. */
static bool
comes_again(int number, const siginfo_t *info)
{
	return info->si_code > 0 && number != SIGABRT && number != SIGXCPU;
}

static void
mark_slot(struct slots *slots, int number)
{
	const uint32_t thread = (uint32_t)gettid();

	for (size_t i = 0; i < N_SLOTS; i++) {
		if (atomic_load(&slots->at[i].thread) == thread && atomic_load(&slots->at[i].state) == SLOT_TAKEN) {
			atomic_store(&slots->at[i].signal, (uint32_t)number);
			atomic_store(&slots->at[i].state, SLOT_FAULTED);
		}
	}
}

/* Only calls that are safe in a handler; then whatever would have happened without us. */
static void
on_fatal(int number, siginfo_t *info, void *context)
{
	struct slots *slots = atomic_load(&handler.slots);
	const int saved = errno;

	(void)context;
	if (slots && is_own_fault(info))
		mark_slot(slots, number);
	for (size_t i = 0; i < N_ELEMENTS(fatal_signals); i++)
		if (fatal_signals[i] == number)
			(void)sigaction(number, &handler.old[i], NULL);
	if (!comes_again(number, info))
		(void)tgkill(getpid(), gettid(), number); /* waits until we return */
	errno = saved;
}

static int
install_handler(struct slots *slots, struct err *err)
{
	struct sigaction action = { .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct slots *none = NULL;

	if (!atomic_compare_exchange_strong(&handler.slots, &none, slots))
		return err_set(err, ERR_BUG, "the memory of poison was opened twice in one process");
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < N_ELEMENTS(fatal_signals); i++)
		(void)sigaction(fatal_signals[i], &action, &handler.old[i]);
	return 0;
}

static void
remove_handler(void)
{
	for (size_t i = 0; i < N_ELEMENTS(fatal_signals); i++)
		(void)sigaction(fatal_signals[i], &handler.old[i], NULL);
	atomic_store(&handler.slots, NULL);
}

/* ---- what the last process left ---- */

static bool
is_left(const struct slot *slot)
{
	const uint32_t state = atomic_load(&slot->state);

	return state == SLOT_TAKEN || state == SLOT_FAULTED;
}

/* The same message may have been in hand twice; it made one process die. */
static bool
is_first(const struct slots *slots, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (is_left(&slots->at[j]) && memcmp(slots->at[j].hash, slots->at[i].hash, 32) == 0)
			return false;
	return true;
}

static void
blame(struct poison *poison, const struct slot *slot, bool first, time_t now)
{
	struct poison_entry fresh = { .at = now }, *entry;

	memcpy(fresh.hash, slot->hash, sizeof(fresh.hash));
	entry = poison_list_add(&poison->list, &fresh);
	entry->at = now;
	if (first && entry->times < MOST_TIMES)
		entry->times++;
	if (atomic_load(&slot->state) == SLOT_FAULTED) {
		snprintf(entry->words, sizeof(entry->words), "signal %u in its thread", (unsigned)atomic_load(&slot->signal));
		entry->poison = true;
	} else if (!entry->poison) {
		snprintf(entry->words, sizeof(entry->words), "in hand when the process ended");
		entry->poison = entry->times >= SUSPECTED_TOO_OFTEN;
	}
}

static void
tell(const struct poison_entry *entry)
{
	char hash[65];

	poison_hex(entry->hash, 32, hash);
	log_line(LOG_LEVEL_WARNING, "the last process ended with message %s in hand (%s): %s", hash, entry->words,
	    entry->poison ? "it is not read when it comes again" : "suspected, and read again");
}

static size_t
take_over(struct poison *poison, time_t now)
{
	const struct slots *slots = poison->slots;
	size_t n = 0;

	for (size_t i = 0; i < N_SLOTS; i++)
		if (is_left(&slots->at[i])) {
			blame(poison, &slots->at[i], is_first(slots, i), now);
			n++;
		}
	for (size_t i = 0; i < N_SLOTS; i++)
		if (is_left(&slots->at[i]) && is_first(slots, i) && poison_list_find(&poison->list, slots->at[i].hash))
			tell(poison_list_find(&poison->list, slots->at[i].hash));
	return n;
}

static void
clear_slots(struct poison *poison)
{
	for (size_t i = 0; i < N_SLOTS; i++) {
		atomic_store(&poison->slots->at[i].thread, 0);
		atomic_store(&poison->slots->at[i].state, SLOT_FREE);
	}
}

/* The list first, then the slots: a crash between the two finds by the process's number that they were counted. */
static int
settle(struct poison *poison, time_t now, struct err *err)
{
	struct slots *slots = poison->slots;
	size_t n = poison_list_age(&poison->list, now);

	if (memcmp(slots->magic, slots_magic, sizeof(slots->magic)) == 0
	    && memcmp(slots->process, poison->list.counted, sizeof(slots->process)) != 0) {
		n += take_over(poison, now);
		memcpy(poison->list.counted, slots->process, sizeof(poison->list.counted));
	}
	if (n > 0 && poison_list_write(&poison->list, err) == -1)
		return -1;
	clear_slots(poison);
	if (getrandom(slots->process, sizeof(slots->process), 0) != (ssize_t)sizeof(slots->process))
		return err_set(err, ERR_TEMP, "no random bytes: %s", strerror(errno));
	memcpy(slots->magic, slots_magic, sizeof(slots->magic));
	return 0;
}

/* ---- opening and closing ---- */

/* Its space is taken at once: a mapped page without a place on disk would end the process. */
static int
map_slots(struct poison *poison, struct err *err)
{
	AUTO(xfree) char *path = xasprintf("%s/poison.slots", poison->dir);
	struct stat st;
	int rc;

	poison->slots_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
	if (poison->slots_fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be opened for writing: %s; create the folder for uid %d, mode 0750", path,
		    strerror(errno), (int)geteuid());
	if (fstat(poison->slots_fd, &st) == -1 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_CONFIG, "'%s' is no regular file; move it aside", path);
	if (flock(poison->slots_fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_TEMP, "'%s' belongs to another process; is the same program running twice?", path);
	rc = posix_fallocate(poison->slots_fd, 0, sizeof(*poison->slots));
	if (rc != 0)
		return err_set(err, ERR_TEMP, "'%s' finds no space for %zu bytes: %s", path, sizeof(*poison->slots), strerror(rc));
	poison->slots = mmap(NULL, sizeof(*poison->slots), PROT_READ | PROT_WRITE, MAP_SHARED, poison->slots_fd, 0);
	if (poison->slots == MAP_FAILED) {
		poison->slots = NULL;
		return err_set(err, ERR_TEMP, "'%s' cannot be mapped: %s", path, strerror(errno));
	}
	return 0;
}

static int
map_stacks(struct poison *poison, struct err *err)
{
	poison->stacks = mmap(NULL, (size_t)N_SLOTS * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (poison->stacks != MAP_FAILED)
		return 0;
	poison->stacks = NULL;
	return err_set(err, ERR_TEMP, "no memory for signal stacks: %s", strerror(errno));
}

static int
open_all(struct poison *poison, time_t now, struct err *err)
{
	if (map_slots(poison, err) == -1 || map_stacks(poison, err) == -1 || poison_list_read(&poison->list, err) == -1
	    || settle(poison, now, err) == -1)
		return -1;
	return install_handler(poison->slots, err);
}

static void
forget(struct poison *poison)
{
	if (poison->slots)
		munmap(poison->slots, sizeof(*poison->slots));
	if (poison->stacks)
		munmap(poison->stacks, (size_t)N_SLOTS * STACK_BYTES);
	if (poison->slots_fd != -1)
		close(poison->slots_fd);
	pthread_mutex_destroy(&poison->lock);
	poison_list_done(&poison->list);
	free(poison->dir);
	free(poison);
}

int
poison_open(const char *dir, time_t now, struct poison **ret, struct err *err)
{
	struct poison *poison = xcalloc(1, sizeof(*poison));

	poison->dir = xstrdup(dir);
	poison->slots_fd = -1;
	poison_list_init(&poison->list, dir);
	pthread_mutex_init(&poison->lock, NULL);
	if (open_all(poison, now, err) == -1) {
		forget(poison);
		return -1;
	}
	*ret = poison;
	return 0;
}

/* An orderly end is nobody's fault. */
void
poison_close(struct poison *poison)
{
	if (!poison)
		return;
	remove_handler();
	clear_slots(poison);
	forget(poison);
}

/* ---- messages ---- */

/* Fields that differ from try to try: those that each hop adds, and what a filter says of the hop. */
static bool
is_of_a_hop(struct slice line)
{
	static const char *const names[] = { "Received:", "X-Received:", "Received-SPF:", "Return-Path:", "Delivered-To:",
		"X-Original-To:", "Authentication-Results:" };

	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		if (line.len >= strlen(names[i]) && strncasecmp((const char *)line.at, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static struct slice
next_line(struct slice *rest)
{
	const unsigned char *feed = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
	const struct slice line = { rest->at, feed ? (size_t)(feed - rest->at) + 1 : rest->len };

	if (line.len) {
		rest->at += line.len;
		rest->len -= line.len;
	}
	return line;
}

/*
 * The simplest reading there is, for what reads more may be what the message breaks. Head and body are hashed
 * apart, so that no copy of the body is made. Where SHA-256 is not to be had the zeros stand for nothing known.
 */
void
poison_hash(struct slice message, unsigned char ret[32])
{
	AUTO_BUF struct buf head = { 0 };
	struct slice rest = message;
	bool skips = false;
	unsigned char of_body[32];

	buf_init(&head, message.len + sizeof(of_body));
	memset(ret, 0, 32);
	while (rest.len) {
		const struct slice line = next_line(&rest);

		if (slice_trim(line).len == 0)
			break;
		if (*line.at != ' ' && *line.at != '\t')
			skips = is_of_a_hop(line);
		if (!skips)
			buf_add_slice(&head, line);
	}
	if (!sha256_of(rest.len ? (const void *)rest.at : "", rest.len, of_body))
		return;
	buf_add(&head, of_body, sizeof(of_body));
	if (!sha256_of(head.at, head.len, ret))
		memset(ret, 0, 32);
}

/* A thread that has a stack for signals keeps it. */
static void
lend_stack(struct poison *poison, size_t i)
{
	const stack_t ours = { .ss_sp = poison->stacks + i * STACK_BYTES, .ss_size = STACK_BYTES };
	stack_t *old = &poison->old_stacks[i];

	if (sigaltstack(NULL, old) == 0 && (old->ss_flags & SS_DISABLE))
		(void)sigaltstack(&ours, NULL);
	else
		old->ss_flags = 0;
}

static void
take_back_stack(struct poison *poison, size_t i)
{
	const stack_t none = { .ss_flags = SS_DISABLE };

	if (poison->old_stacks[i].ss_flags & SS_DISABLE)
		(void)sigaltstack(&none, NULL);
}

/* With the lock. Where all are taken, mail is judged all the same. */
static void
take_slot(struct poison *poison, const unsigned char hash[32])
{
	for (size_t i = 0; i < N_SLOTS; i++) {
		struct slot *slot = &poison->slots->at[i];

		if (atomic_load(&slot->state) != SLOT_FREE)
			continue;
		memcpy(slot->hash, hash, sizeof(slot->hash));
		atomic_store(&slot->signal, 0);
		atomic_store(&slot->thread, (uint32_t)gettid());
		atomic_store(&slot->state, SLOT_TAKEN);
		lend_stack(poison, i);
		return;
	}
}

bool
poison_enter(struct poison *poison, const unsigned char hash[32])
{
	static const unsigned char unknown[32];
	const struct poison_entry *entry;
	bool is_poison;

	if (memcmp(hash, unknown, sizeof(unknown)) == 0)
		return false;
	pthread_mutex_lock(&poison->lock);
	poison_list_refresh(&poison->list);
	entry = poison_list_find(&poison->list, hash);
	is_poison = entry && entry->poison;
	if (!is_poison)
		take_slot(poison, hash);
	pthread_mutex_unlock(&poison->lock);
	return is_poison;
}

static void
free_slot(struct poison *poison, const unsigned char hash[32])
{
	const uint32_t thread = (uint32_t)gettid();

	for (size_t i = 0; i < N_SLOTS; i++) {
		struct slot *slot = &poison->slots->at[i];

		if (atomic_load(&slot->thread) != thread || memcmp(slot->hash, hash, sizeof(slot->hash)) != 0)
			continue;
		take_back_stack(poison, i);
		atomic_store(&slot->thread, 0);
		atomic_store(&slot->state, SLOT_FREE);
		return;
	}
}

/* Judged without harm: it was a bystander. */
static void
acquit(struct poison *poison, const unsigned char hash[32])
{
	struct err err = { .text = "" };
	struct poison_entry *entry;

	poison_list_refresh(&poison->list);
	entry = poison_list_find(&poison->list, hash);
	if (!entry || entry->poison)
		return;
	poison_list_remove(&poison->list, entry);
	if (poison_list_write(&poison->list, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "%s; a message judged without harm stays suspected there", err.text);
}

void
poison_leave(struct poison *poison, const unsigned char hash[32])
{
	pthread_mutex_lock(&poison->lock);
	free_slot(poison, hash);
	acquit(poison, hash);
	pthread_mutex_unlock(&poison->lock);
}
