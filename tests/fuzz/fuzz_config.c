/* The settings file: whatever it holds is settings or a list of problems. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/config.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 }, dump = { 0 };
	AUTO_FD int fd = memfd_create("settings", MFD_CLOEXEC);
	char path[64];
	int result;

	buf_init(&problems, 64 * 1024);
	buf_init(&dump, 1024 * 1024);
	fuzz_must(fd != -1 && write(fd, bytes, len) == (ssize_t)len, "a file in memory");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	result = config_load(path, &config, &problems);
	fuzz_must((result == 0) == (config != NULL), "settings exactly where it says so");
	fuzz_must(result == 0 || problems.len > 0, "a refusal says why");
	if (config)
		config_dump(config, &dump);
	return 0;
}
