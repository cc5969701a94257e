#include "milter/preflight/swap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* /dev/mapper/swap is a link to /dev/dm-0, whose mapping begins its name with the sort it is of. */
static bool
is_encrypted(const char *block_folder, const char *device)
{
	char *real = realpath(device, NULL);
	const char *path = real ? real : device, *slash = strrchr(path, '/');
	AUTO(xfree) char *file = xasprintf("%s/%s/dm/uuid", block_folder, slash ? slash + 1 : path);
	FILE *in = fopen(file, "re");
	char uuid[16] = "";

	free(real);
	if (!in)
		return false;
	if (!fgets(uuid, sizeof(uuid), in))
		uuid[0] = '\0';
	(void)fclose(in);
	return strncmp(uuid, "CRYPT-", 6) == 0;
}

void
swap_look(const char *swaps_file, const char *block_folder, struct words *ret)
{
	FILE *in = fopen(swaps_file, "re");
	char *line = NULL;
	size_t room = 0;

	if (!in)
		return;
	while (getline(&line, &room, in) != -1) {
		line[strcspn(line, " \t\n")] = '\0';
		if (line[0] != '/' || strncmp(line, "/dev/zram", 9) == 0 || is_encrypted(block_folder, line))
			continue;
		ret->at = xrealloc(ret->at, (ret->n + 1) * sizeof(*ret->at));
		ret->at[ret->n++] = xstrdup(line);
	}
	free(line);
	(void)fclose(in);
}
