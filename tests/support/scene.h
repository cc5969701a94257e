/*
 * scene: a filter with everything behind it, in one process and one temporary folder: a registry,
 * a key agent on a real socket, an audit folder, and offices that each own an address, a login and
 * a sealing certificate (P-256, valid from 2026-01-01 to 2036-01-01).
 */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include "milter/filter/session.h"

enum { SCENE_NOW = 1790000000 }; /* 2026-09-21 */

struct scene {
	char folder[64];
	size_t n_offices;
	struct filter filter;
	struct keyd *keyd; /* opaque */
};

/* Office i: address "kantor<i>@kota.go.id", login "kantor<i>". Ends the test program on failure. */
struct scene *scene_new(size_t n_offices);
void scene_free(struct scene *scene);

void scene_stop_keyd(struct scene *scene);
/* A verb of an officer's: "hold" or "unhold" office i's certificate. */
void scene_hold(struct scene *scene, size_t office, bool hold);
/* A new snapshot of the same settings in the box. */
void scene_reload(struct scene *scene);
/* The same with another language: "en" (as at the beginning) or "id". */
void scene_speak(struct scene *scene, const char *language);
/* SHA-256 of office i's certificate. */
void scene_cert(const struct scene *scene, size_t office, unsigned char ret[32]);

/* One event each; the answer of the last. Text of MAIL: office i as its own login and sender. */
void scene_mail(struct scene *scene, struct session *session, size_t office, struct answer *ret);
void scene_event(struct session *session, enum event_kind kind, const char *text, const char *value, struct answer *ret);
/* Header and body of a short message whose From is office i and whose text holds `mark`. */
void scene_content(struct session *session, size_t office, const char *mark, struct answer *ret);
void scene_eom(struct session *session, struct answer *ret);

/* The certificate that signed this plan's body (SHA-256), after checking the signature. False: none good. */
bool scene_signer(const struct edit_plan *plan, unsigned char ret[32]);
/* The whole new body as text, owned. */
char *scene_body(const struct edit_plan *plan);

#endif
