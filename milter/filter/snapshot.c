#include "milter/filter/snapshot.h"

#include <pthread.h>
#include <stdlib.h>

#include "milter/recipients.h"

struct snapshot_box {
	pthread_mutex_t lock;
	struct snapshot *current;
};

int
snapshot_load(const char *file, const struct role_traits *role, struct snapshot **ret, struct buf *problems)
{
	AUTO(snapshot_free) struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
	struct config *config;
	struct err err;
	int result = 0;

	if (config_load(file, &snapshot->config, problems) == -1)
		return -1;
	config = snapshot->config;
	if (registry_open(config->registry.file, (int)config->registry.timeout, &snapshot->registry, &err) == -1) {
		buf_printf(problems, "registry: %s\n", err.text);
		result = -1;
	}
	if (role->seals && issuers_load(config->seal.chain_dir, &snapshot->issuers, &err) == -1) {
		buf_printf(problems, "seal.chain_dir: %s\n", err.text);
		result = -1;
	}
	if (role->seals && recipients_copy_certificate(config->encrypt.copy_certificate, &snapshot->copy_certificate, &err) == -1) {
		buf_printf(problems, "encrypt.copy_certificate: %s\n", err.text);
		result = -1;
	}
	snapshot->prepared = prepared_set_new(snapshot->issuers);
	snapshot->keyd = keyd_client_new(config->keyd.socket, (int)config->keyd.timeout);
	snapshot->trust = trust_watch_new(config);
	if (role->holds && *config->quarantine.certificate
	    && depot_new(config->quarantine.hold_socket, config->quarantine.certificate, (int)config->quarantine.timeout,
		   &snapshot->depot, &err) == -1) {
		buf_printf(problems, "quarantine.certificate: %s\n", err.text);
		result = -1;
	}
	if (result == 0)
		*ret = TAKE(snapshot);
	return result;
}

void
snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	buf_done(&snapshot->copy_certificate);
	depot_free(snapshot->depot);
	trust_watch_free(snapshot->trust);
	keyd_client_free(snapshot->keyd);
	prepared_set_free(snapshot->prepared);
	issuers_free(snapshot->issuers);
	registry_close(snapshot->registry);
	config_free(snapshot->config);
	free(snapshot);
}

struct snapshot_box *
snapshot_box_new(void)
{
	struct snapshot_box *box = xcalloc(1, sizeof(*box));

	pthread_mutex_init(&box->lock, NULL);
	return box;
}

void
snapshot_box_free(struct snapshot_box *box)
{
	if (!box)
		return;
	snapshot_free(box->current);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

/* The box itself counts as one user. Returns what must be freed outside the lock. */
static struct snapshot *
let_go(struct snapshot *snapshot)
{
	if (!snapshot || --snapshot->count > 0)
		return NULL;
	return snapshot;
}

void
snapshot_put(struct snapshot_box *box, struct snapshot **snapshot)
{
	struct snapshot *old;

	(*snapshot)->count = 1;
	pthread_mutex_lock(&box->lock);
	old = let_go(box->current);
	box->current = TAKE(*snapshot);
	pthread_mutex_unlock(&box->lock);
	snapshot_free(old);
}

const struct snapshot *
snapshot_ref(struct snapshot_box *box)
{
	struct snapshot *snapshot;

	pthread_mutex_lock(&box->lock);
	snapshot = box->current;
	snapshot->count++;
	pthread_mutex_unlock(&box->lock);
	return snapshot;
}

void
snapshot_unref(struct snapshot_box *box, const struct snapshot *snapshot)
{
	struct snapshot *old;

	if (!snapshot)
		return;
	pthread_mutex_lock(&box->lock);
	old = let_go((struct snapshot *)(uintptr_t)snapshot);
	pthread_mutex_unlock(&box->lock);
	snapshot_free(old);
}
