#include "milter/quarantine/item.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char *const states[N_ITEM_STATES] = {
	[ITEM_UNKNOWN] = "unknown",
	[ITEM_NEW] = "baru",
	[ITEM_SEEN] = "ditinjau",
	[ITEM_WAITING] = "menunggu persetujuan",
	[ITEM_RELEASING] = "dilepas-sedang",
	[ITEM_RELEASED] = "dilepas",
	[ITEM_DELETED] = "dihapus",
	[ITEM_EXPIRED] = "kedaluwarsa",
};

const char *
item_state_name(enum item_state state)
{
	return states[state < N_ITEM_STATES ? state : ITEM_UNKNOWN];
}

enum item_state
item_state_from(const char *name)
{
	for (size_t i = ITEM_UNKNOWN + 1; i < N_ITEM_STATES; i++)
		if (strcmp(states[i], name) == 0)
			return (enum item_state)i;
	return ITEM_UNKNOWN;
}

int
item_new_id(char ret[ITEM_ID_BYTES], struct err *err)
{
	unsigned char random[(ITEM_ID_BYTES - 1) / 2];

	/* Up to 256 bytes come whole or not at all (getrandom(2)). */
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_set(err, ERR_TEMP, "no random numbers for an item's id: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(ret + 2 * i, 3, "%02x", random[i]);
	return 0;
}

/* Also a file's name: nothing but these digits, or it could name another file. */
bool
item_id_good(const char *id)
{
	return strlen(id) == ITEM_ID_BYTES - 1 && strspn(id, "0123456789abcdef") == ITEM_ID_BYTES - 1;
}

void
item_done(struct item *item)
{
	for (size_t i = 0; i < item->n_recipients; i++) {
		free(item->recipients[i].address);
		free(item->recipients[i].parameters);
	}
	free(item->recipients);
	free(item->sender_parameters);
	*item = (struct item){ 0 };
}
