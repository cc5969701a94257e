#include "milter/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif

enum { FIRST_X32_CALL = 0x40000000, FAMILY_AT = offsetof(struct seccomp_data, args) };

#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE ANSWER(SECCOMP_RET_ERRNO | EPERM)
/* Unless equal, jump over the next statement. */
#define IF_IS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define IF_AT_LEAST(value) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), 0, 1)

/* A call of another machine's table would mean something else by the same number. */
static const struct sock_filter rules[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	ANSWER(SECCOMP_RET_KILL_PROCESS),
	LOAD(offsetof(struct seccomp_data, nr)),
	IF_AT_LEAST(FIRST_X32_CALL),
	ANSWER(SECCOMP_RET_KILL_PROCESS),
	IF_IS(SYS_execve),
	REFUSE,
	IF_IS(SYS_execveat),
	REFUSE,
	IF_IS(SYS_process_vm_readv),
	REFUSE,
	IF_IS(SYS_process_vm_writev),
	REFUSE,
	IF_IS(SYS_io_uring_setup),
	REFUSE,
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(FAMILY_AT),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0),
	REFUSE,
	ANSWER(SECCOMP_RET_ALLOW),
};

int
sandbox_enter(struct err *err)
{
	struct sock_filter copy[N_ELEMENTS(rules)];
	const struct sock_fprog program = { N_ELEMENTS(rules), copy };

	if (ARCH == 0)
		return err_set(err, ERR_CONFIG, "no filter of system calls for this machine");
	memcpy(copy, rules, sizeof(copy));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == -1)
		return err_set(err, ERR_CONFIG, "no filter of system calls: %s", strerror(errno));
	return 0;
}
