#include "milter/reviewd/cage.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_LIMITED false
#else
#define MEMORY_IS_LIMITED true
#endif

enum {
	PROCESSOR_SECONDS = 10,
	MEMORY_BYTES = 512 * 1024 * 1024,
	FIRST_X32_CALL = 0x40000000,
	PROTECTION_AT = offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t), /* third argument of mmap and mprotect */
	MOST_RULES = 150,
};

static const unsigned for_all[] = {
	SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_close, SYS_lseek, SYS_fstat, SYS_exit, SYS_exit_group,
	SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise,
	SYS_futex, SYS_rt_sigreturn, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_sigaltstack, SYS_restart_syscall, SYS_sched_yield,
	SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom, SYS_sysinfo,
	SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
};

/* What SQLite does with a database that is open: reads pages, locks byte ranges, looks whether the file is still the same. */
static const unsigned for_judge[] = {
	SYS_pread64, SYS_fcntl, SYS_flock, SYS_newfstatat,
#ifdef SYS_stat
	SYS_stat, SYS_lstat, SYS_access,
#endif
	SYS_faccessat,
};

/* Only without PROT_EXEC. */
static const unsigned with_protection[] = { SYS_mmap, SYS_mprotect };

struct rules {
	struct sock_filter at[MOST_RULES];
	unsigned short n;
};

static void
add(struct rules *rules, struct sock_filter rule)
{
	if (rules->n < MOST_RULES)
		rules->at[rules->n++] = rule;
}

#define LOAD(at) (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define ANSWER(what) (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (what))
#define UNLESS_IS(value, skip) (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define REFUSE ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)

static void
allow(struct rules *rules, const unsigned *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		add(rules, UNLESS_IS(calls[i], 1));
		add(rules, ALLOW);
	}
}

static void
build(enum cage_kind kind, struct rules *rules)
{
	add(rules, LOAD(offsetof(struct seccomp_data, arch)));
	add(rules, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	add(rules, ANSWER(SECCOMP_RET_KILL_PROCESS));
	add(rules, LOAD(offsetof(struct seccomp_data, nr)));
	add(rules, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_X32_CALL, 0, 1));
	add(rules, ANSWER(SECCOMP_RET_KILL_PROCESS));
	allow(rules, for_all, N_ELEMENTS(for_all));
	if (kind == CAGE_JUDGE)
		allow(rules, for_judge, N_ELEMENTS(for_judge));
	for (size_t i = 0; i < N_ELEMENTS(with_protection); i++) {
		add(rules, UNLESS_IS(with_protection[i], 4));
		add(rules, LOAD(PROTECTION_AT));
		add(rules, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
		add(rules, REFUSE);
		add(rules, ALLOW);
	}
	add(rules, REFUSE);
}

static int
limit(int which, rlim_t most, const char *what, struct err *err)
{
	const struct rlimit value = { most, most };

	if (setrlimit((__rlimit_resource_t)which, &value) == -1)
		return err_set(err, ERR_TEMP, "no limit of %s: %s", what, strerror(errno));
	return 0;
}

int
cage_limits(struct err *err)
{
	const pid_t parent = getppid();

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1 || getppid() != parent)
		return err_set(err, ERR_TEMP, "its parent has ended");
	if (syscall(SYS_close_range, 3U, ~0U, 0U) == -1)
		return err_set(err, ERR_TEMP, "descriptors stay open: %s", strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_set(err, ERR_TEMP, "privileges stay: %s", strerror(errno));
	if (limit(RLIMIT_CORE, 0, "core files", err) == -1 || limit(RLIMIT_FSIZE, 0, "written files", err) == -1
	    || limit(RLIMIT_CPU, PROCESSOR_SECONDS, "processor", err) == -1)
		return -1;
	return MEMORY_IS_LIMITED ? limit(RLIMIT_AS, MEMORY_BYTES, "memory", err) : 0;
}

int
cage_enter(enum cage_kind kind, struct err *err)
{
	struct rules rules = { .n = 0 };
	struct sock_fprog program;

	if (ARCH == 0)
		return err_set(err, ERR_CONFIG, "no filter of system calls for this machine: held mail cannot be looked at here");
	build(kind, &rules);
	if (rules.n == MOST_RULES)
		return err_set(err, ERR_BUG, "more than %d rules", MOST_RULES);
	program = (struct sock_fprog){ rules.n, rules.at };
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == -1)
		return err_set(err, ERR_CONFIG, "no filter of system calls: %s", strerror(errno));
	return 0;
}
