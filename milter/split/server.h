/*
 * server: the listener of segel-split: a thread a connection, a cap on their number. What is said on a connection is intake.h;
 * what becomes of a letter is handle.h.
 *
 * Times: from one reply of ours on, the next command must be whole within split.timeout, and from 354 on the whole message,
 * however its bytes drip.
 */
#ifndef SPLIT_SERVER_H
#define SPLIT_SERVER_H

#include "milter/split/station.h"

struct split_server;

/* Accepts from now on. Takes over the descriptor (non-blocking); borrows the station. */
int split_server_start(int *listen_fd, struct station *station, unsigned max_connections, struct split_server **ret, struct err *err) MUST_USE;

/*
 * After station->stop_fd was made readable: no new connections; idle ones are told 421, messages in hand are finished. True: all
 * ended, and the server is freed. False: some still work; then all that they use must stay until the process ends. Their
 * messages have no answer yet, and stay with the MTA.
 */
bool split_server_stop(struct split_server **server, int drain_ms) MUST_USE;

/* A thread that died with the lock would let this hang, and the watchdog run out. */
void split_server_touch(struct split_server *server);

#endif
