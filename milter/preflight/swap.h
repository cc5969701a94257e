/*
 * swap: where this machine writes memory to disk in the clear. A message is in the filter's memory before
 * it is sealed or once it is decrypted; the key agent locks its own memory, the mail server and the filter do not.
 */
#ifndef PREFLIGHT_SWAP_H
#define PREFLIGHT_SWAP_H

#include "milter/preflight/value.h"

#define SWAPS_FILE "/proc/swaps"
#define BLOCK_FOLDER "/sys/class/block"

/* The swap areas that are neither encrypted (dm-crypt) nor in memory (zram). No file: there is no swap. */
void swap_look(const char *swaps_file, const char *block_folder, struct words *ret);

#endif
