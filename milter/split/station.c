#include "milter/split/station.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/recipients.h"

enum { HOST_BYTES = 256 };

int
split_snapshot_load(const char *file, struct split_snapshot **ret, struct buf *problems)
{
	AUTO(split_snapshot_free) struct split_snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
	const struct config *config;
	struct err err;

	if (config_load(file, &snapshot->config, problems) == -1)
		return -1;
	config = snapshot->config;
	if (registry_open(config->registry.file, (int)config->registry.timeout, &snapshot->registry, &err) == -1) {
		buf_printf(problems, "registry.file: %s\n", err.text);
		return -1;
	}
	if (recipients_copy_certificate(config->encrypt.copy_certificate, &snapshot->copy_certificate, &err) == -1) {
		buf_printf(problems, "encrypt.copy_certificate: %s\n", err.text);
		return -1;
	}
	snapshot->trust = trust_watch_new(config);
	*ret = TAKE(snapshot);
	return 0;
}

void
split_snapshot_free(struct split_snapshot *snapshot)
{
	if (!snapshot)
		return;
	trust_watch_free(snapshot->trust);
	buf_done(&snapshot->copy_certificate);
	registry_close(snapshot->registry);
	config_free(snapshot->config);
	free(snapshot);
}

void
station_init(struct station *station, int stop_fd)
{
	char host[HOST_BYTES] = "";

	*station = (struct station){ .stop_fd = stop_fd };
	if (gethostname(host, sizeof(host) - 1) == -1 || !*host)
		station->host = xstrdup("localhost");
	else
		station->host = xstrdup(host);
	pthread_mutex_init(&station->lock, NULL);
}

void
station_done(struct station *station)
{
	split_snapshot_free(TAKE(station->current));
	memory_close(TAKE(station->memory));
	free(TAKE(station->host));
	pthread_mutex_destroy(&station->lock);
}

/* The station itself counts as one user. Returns what must be freed outside the lock. */
static struct split_snapshot *
let_go(struct split_snapshot *snapshot)
{
	return snapshot && --snapshot->count == 0 ? snapshot : NULL;
}

void
station_put(struct station *station, struct split_snapshot **snapshot)
{
	struct split_snapshot *old;

	(*snapshot)->count = 1;
	pthread_mutex_lock(&station->lock);
	old = let_go(station->current);
	station->current = TAKE(*snapshot);
	pthread_mutex_unlock(&station->lock);
	split_snapshot_free(old);
}

const struct split_snapshot *
station_ref(struct station *station)
{
	struct split_snapshot *snapshot;

	pthread_mutex_lock(&station->lock);
	snapshot = station->current;
	snapshot->count++;
	pthread_mutex_unlock(&station->lock);
	return snapshot;
}

void
station_unref(struct station *station, const struct split_snapshot *snapshot)
{
	struct split_snapshot *old;

	pthread_mutex_lock(&station->lock);
	old = let_go((struct split_snapshot *)(uintptr_t)snapshot);
	pthread_mutex_unlock(&station->lock);
	split_snapshot_free(old);
}

size_t
station_message_bytes(const struct config *config)
{
	const long sealed = config->limits.message_size / 2 * 3;

	return (size_t)(sealed < LIMIT_MESSAGE_BYTES ? sealed : LIMIT_MESSAGE_BYTES);
}
