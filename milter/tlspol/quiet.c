#include "milter/tlspol/quiet.h"

bool
quiet_may(struct quiet *quiet, enum cause cause, int64_t now_ms, unsigned long *before)
{
	*before = 0;
	if (quiet->causes[cause].lines == 0 || now_ms - quiet->causes[cause].since >= QUIET_MS) {
		*before = quiet->causes[cause].dropped;
		quiet->causes[cause].since = now_ms;
		quiet->causes[cause].lines = 0;
		quiet->causes[cause].dropped = 0;
	}
	if (quiet->causes[cause].lines == QUIET_LINES) {
		quiet->causes[cause].dropped++;
		return false;
	}
	quiet->causes[cause].lines++;
	return true;
}
