#include <sqlite3.h>

#include "policy/registry/registry.h"

void
registry_library(struct buf *ret)
{
	buf_printf(ret, "  SQLite %s\n", sqlite3_libversion());
}
