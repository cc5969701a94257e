#include "milter/filter/metrics.h"

#include <stdio.h>

static const struct bucket {
	unsigned long long most; /* microseconds */
	const char *le;
} buckets[METRICS_BUCKETS] = {
	{ 1000, "0.001" }, { 2500, "0.0025" }, { 5000, "0.005" }, { 10000, "0.01" }, { 25000, "0.025" },
	{ 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" }, { 500000, "0.5" }, { 1000000, "1" },
	{ 2500000, "2.5" }, { 10000000, "10" }, { 30000000, "30" },
};

static const char *const form_names[] = { [SEAL_CLEAR] = "clear", [SEAL_OPAQUE] = "opaque" };
static const char *const lookup_names[] = {
	[REGISTRY_UNAVAILABLE] = "unavailable", [REGISTRY_NONE] = "none", [REGISTRY_UNUSABLE] = "unusable",
	[REGISTRY_FOUND] = "found",
};

static void
count(atomic_ullong *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static unsigned long long
value(atomic_ullong *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void
metrics_message(struct metrics *metrics, enum class class, const struct verdict *verdict,
    const struct findings *findings, enum seal_form seal)
{
	count(&metrics->messages[class < N_CLASSES ? class : CLASS_UNKNOWN][verdict->action]);
	for (size_t i = 0; i < findings->n; i++)
		count(&metrics->reasons[findings->at[i].reason]);
	if (seal != SEAL_UNKNOWN)
		count(&metrics->seals[seal]);
}

void
metrics_encryption(struct metrics *metrics, enum content_cipher cipher)
{
	count(&metrics->encryptions[cipher]);
}

void
metrics_lookup(struct metrics *metrics, enum registry_answer answer)
{
	count(&metrics->lookups[answer]);
}

void
metrics_keyd_error(struct metrics *metrics)
{
	count(&metrics->keyd_errors);
}

void
metrics_not_applied(struct metrics *metrics)
{
	count(&metrics->not_applied);
}

void
metrics_seconds(struct metrics *metrics, const struct timespec *began)
{
	struct timespec now;
	unsigned long long us;
	size_t i = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	us = (unsigned long long)((now.tv_sec - began->tv_sec) * 1000000 + (now.tv_nsec - began->tv_nsec) / 1000);
	while (i < METRICS_BUCKETS && us > buckets[i].most)
		i++;
	count(&metrics->seconds[i]);
	atomic_fetch_add_explicit(&metrics->seconds_sum, us, memory_order_relaxed);
}

void
metrics_reload(struct metrics *metrics, bool good, time_t now)
{
	atomic_store(&metrics->reload_failed, !good);
	if (good)
		atomic_store(&metrics->reloaded, (long long)now);
}

static void
describe(struct buf *ret, const char *name, const char *type, const char *help)
{
	buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
single(struct buf *ret, const char *name, const char *type, const char *help, unsigned long long number)
{
	describe(ret, name, type, help);
	buf_printf(ret, "%s %llu\n", name, number);
}

static void
render_messages(struct metrics *metrics, struct buf *ret)
{
	describe(ret, "segel_messages_total", "counter", "Messages judged, by class and by what was decided.");
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++)
		for (int action = 0; action < N_ACTIONS; action++)
			buf_printf(ret, "segel_messages_total{class=\"%s\",action=\"%s\"} %llu\n", class_name((enum class)class),
			    action_name((enum action)action), value(&metrics->messages[class][action]));
}

static void
render_reasons(struct metrics *metrics, struct buf *ret)
{
	describe(ret, "segel_reason_total", "counter", "Findings about messages; a message may have several.");
	for (int reason = REASON_UNKNOWN + 1; reason < N_REASONS; reason++)
		buf_printf(ret, "segel_reason_total{reason=\"%s\"} %llu\n", reason_word((enum reason)reason),
		    value(&metrics->reasons[reason]));
}

static void
render_seals(struct metrics *metrics, struct buf *ret)
{
	describe(ret, "segel_seals_total", "counter", "Messages handed back sealed, by form.");
	for (int form = SEAL_CLEAR; form <= SEAL_OPAQUE; form++)
		buf_printf(ret, "segel_seals_total{form=\"%s\"} %llu\n", form_names[form], value(&metrics->seals[form]));
}

static void
render_encryptions(struct metrics *metrics, struct buf *ret)
{
	describe(ret, "segel_encryptions_total", "counter", "Messages handed back encrypted, by cipher, or for segel-split to encrypt.");
	for (int cipher = CONTENT_UNKNOWN; cipher <= CONTENT_AES256_GCM; cipher++)
		buf_printf(ret, "segel_encryptions_total{cipher=\"%s\"} %llu\n",
		    cipher == CONTENT_UNKNOWN ? "split" : content_cipher_name((enum content_cipher)cipher), value(&metrics->encryptions[cipher]));
}

static void
render_lookups(struct metrics *metrics, struct buf *ret)
{
	describe(ret, "segel_registry_lookups_total", "counter", "Questions for a sealing certificate, by answer.");
	for (int answer = 0; answer <= REGISTRY_FOUND; answer++)
		buf_printf(ret, "segel_registry_lookups_total{result=\"%s\"} %llu\n", lookup_names[answer],
		    value(&metrics->lookups[answer]));
}

static void
render_seconds(struct metrics *metrics, struct buf *ret)
{
	unsigned long long sum = value(&metrics->seconds_sum), n = 0;

	describe(ret, "segel_seconds", "histogram", "How long the MTA waited for the answer at the end of a message.");
	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		n += value(&metrics->seconds[i]);
		buf_printf(ret, "segel_seconds_bucket{le=\"%s\"} %llu\n", buckets[i].le, n);
	}
	n += value(&metrics->seconds[METRICS_BUCKETS]);
	buf_printf(ret, "segel_seconds_bucket{le=\"+Inf\"} %llu\n", n);
	buf_printf(ret, "segel_seconds_sum %llu.%06llu\nsegel_seconds_count %llu\n", sum / 1000000, sum % 1000000, n);
}

static void
render_own(struct metrics *metrics, const struct metrics_gauges *gauges, struct buf *ret)
{
	single(ret, "segel_sessions", "gauge", "Connections of the MTA.", gauges->sessions);
	single(ret, "segel_messages_in_hand", "gauge", "Messages between MAIL and their end.", gauges->in_hand);
	single(ret, "segel_keyd_errors_total", "counter", "Signatures that the key agent was asked for and did not give.",
	    value(&metrics->keyd_errors));
	single(ret, "segel_not_applied_total", "counter", "Messages whose changes the MTA did not take; they were deferred.",
	    value(&metrics->not_applied));
	single(ret, "segel_audit_records_total", "counter", "Records in the audit file: the last one's sequence number.",
	    gauges->audit_records);
	single(ret, "segel_config_last_reload_successful", "gauge", "1: the settings in use are those of the file.",
	    !atomic_load(&metrics->reload_failed));
	single(ret, "segel_config_reload_success_timestamp_seconds", "gauge", "When settings were last taken over.",
	    (unsigned long long)atomic_load(&metrics->reloaded));
	describe(ret, "segel_build_info", "gauge", "Always 1; the label says which version this is.");
	buf_printf(ret, "segel_build_info{version=\"%s\"} 1\n", SEGEL_VERSION);
}

void
metrics_render(struct metrics *metrics, const struct metrics_gauges *gauges, struct buf *ret)
{
	render_messages(metrics, ret);
	render_reasons(metrics, ret);
	render_seals(metrics, ret);
	render_encryptions(metrics, ret);
	render_lookups(metrics, ret);
	render_seconds(metrics, ret);
	render_own(metrics, gauges, ret);
}
