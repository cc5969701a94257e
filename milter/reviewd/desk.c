#include "milter/reviewd/desk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/priv.h"

static int
load_config(const char *file, struct config **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (config_load(file, ret, &problems) == -1)
		return config_err(&problems, err);
	return 0;
}

static int
find_holders(const struct text_list *users, struct desk_settings *settings, struct err *err)
{
	gid_t group;

	settings->holders = xcalloc(users->n + 1, sizeof(*settings->holders));
	for (size_t i = 0; i < users->n; i++)
		if (priv_user(users->at[i], &settings->holders[settings->n_holders++], &group, err) == -1)
			return err_wrap(err, "quarantine.holders");
	return 0;
}

int
desk_settings_load(const char *file, struct desk_settings **ret, struct err *err)
{
	AUTO(desk_settings_free) struct desk_settings *settings = xcalloc(1, sizeof(*settings));
	const struct config *config;

	if (load_config(file, &settings->config, err) == -1)
		return -1;
	config = settings->config;
	if (!*config->quarantine.certificate)
		return err_set(err, ERR_CONFIG, "quarantine.certificate is empty: there is no quarantine; `segelctl quarantine key` makes one");
	if (find_holders(&config->quarantine.holders, settings, err) == -1)
		return -1;
	if (registry_open(config->registry.file, (int)config->registry.timeout, &settings->registry, err) == -1)
		return err_wrap(err, "registry.file");
	settings->keyd = keyd_client_new(config->keyd.socket, (int)config->keyd.timeout);
	*ret = TAKE(settings);
	return 0;
}

void
desk_settings_free(struct desk_settings *settings)
{
	if (!settings)
		return;
	keyd_client_free(settings->keyd);
	registry_close(settings->registry);
	config_free(settings->config);
	free(settings->holders);
	free(settings);
}

struct store_settings
desk_store_settings(const struct config *config)
{
	return (struct store_settings){
		.dir = config->quarantine.dir,
		.timeout_ms = (int)config->quarantine.timeout / 6, /* several wait for each other, and a filter is still told why */
		.max_size = config->quarantine.max_size,
		.max_items = config->quarantine.max_items,
		.min_free = config->quarantine.min_free,
		.client_share = config->quarantine.client_share,
	};
}

int
desk_init(struct desk *desk, struct err *err)
{
	pthread_mutex_init(&desk->lock, NULL);
	pthread_mutex_init(&desk->releases, NULL);
	pthread_mutex_init(&desk->acts, NULL);
	sem_init(&desk->children, 0, DESK_CHILDREN);
	desk->stop_fd = eventfd(0, EFD_CLOEXEC);
	return desk->stop_fd == -1 ? err_set(err, ERR_TEMP, "no eventfd: %s", strerror(errno)) : 0;
}

void
desk_done(struct desk *desk)
{
	desk_settings_free(desk->current);
	store_close(desk->store);
	audit_close(desk->audit);
	if (desk->stop_fd != -1)
		close(desk->stop_fd);
	free(desk->program);
	free(desk->file);
}

/* The desk itself counts as one user. Returns what must be freed outside the lock. */
static struct desk_settings *
let_go(struct desk_settings *settings)
{
	return settings && --settings->count == 0 ? settings : NULL;
}

void
desk_put(struct desk *desk, struct desk_settings **settings)
{
	struct desk_settings *old;

	(*settings)->count = 1;
	pthread_mutex_lock(&desk->lock);
	old = let_go(desk->current);
	desk->current = TAKE(*settings);
	desk->has_key = false;
	pthread_mutex_unlock(&desk->lock);
	desk_settings_free(old);
}

const struct desk_settings *
desk_ref(struct desk *desk)
{
	struct desk_settings *settings;

	pthread_mutex_lock(&desk->lock);
	settings = desk->current;
	settings->count++;
	pthread_mutex_unlock(&desk->lock);
	return settings;
}

void
desk_unref(struct desk *desk, const struct desk_settings *settings)
{
	struct desk_settings *old;

	pthread_mutex_lock(&desk->lock);
	old = let_go((struct desk_settings *)(uintptr_t)settings);
	pthread_mutex_unlock(&desk->lock);
	desk_settings_free(old);
}

int
desk_wait(const struct desk *desk, int fd, int timeout_ms)
{
	char byte;

	for (;;) {
		struct pollfd fds[] = { { desk->stop_fd, POLLIN, 0 }, { fd, POLLIN, 0 } };
		const int n = poll(fds, N_ELEMENTS(fds), timeout_ms);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n;
		if (fds[0].revents || recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
			return -1;
		return 1;
	}
}
