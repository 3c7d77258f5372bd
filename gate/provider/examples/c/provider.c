/* A provider for latchgate in C: it fetches a text and counts it.
 *
 *     clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wextra -Wl,--strip-all -Wl,-zstack-size=65536 -o provider.wasm provider.c
 *
 * It uses the C library's memory and strings; a JSON library of your choice
 * serves larger documents. The functions and documents are those of
 * docs/provider-abi.md. */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST(name) __attribute__((import_module("latchgate"), import_name(#name))) extern int32_t name
HOST(input_size)(void);
HOST(input_read)(void *buf, size_t size);
HOST(http_request)(const char *head, size_t head_size, const void *body, size_t body_size);
HOST(response_read)(void *buf, size_t size);
HOST(body_size)(void);
HOST(body_read)(void *buf, size_t size);
HOST(output_write)(const char *doc, size_t size);
__attribute__((import_module("latchgate"), import_name("log"))) extern int32_t host_log(int32_t level, const char *msg, size_t size);

/* read copies what the host holds into a string of its own. An execution is a
 * fresh instance, so nothing needs to be freed. */
static char *read_all(int32_t size, int32_t (*from)(void *, size_t), size_t *length) {
	size_t n = size > 0 ? (size_t)size : 0;
	char *text = malloc(n + 1);
	if (!text) abort();
	int32_t got = from(text, n);
	*length = got > 0 ? (size_t)got : 0;
	text[*length] = 0;
	return text;
}

/* string_member finds the member of a document as it is written between its
 * quotes. Enough for a URL; use a JSON library for anything else. */
static char *string_member(const char *doc, const char *name) {
	char key[64];
	snprintf(key, sizeof key, "\"%s\":\"", name);
	const char *start = strstr(doc, key);
	if (!start) return NULL;
	start += strlen(key);
	size_t n = strcspn(start, "\"\\");
	if (start[n] != '"') return NULL;
	char *member = malloc(n + 1);
	if (!member) abort();
	memcpy(member, start, n);
	member[n] = 0;
	return member;
}

static int32_t fail(const char *message) {
	char doc[256];
	int n = snprintf(doc, sizeof doc, "{\"error\":{\"code\":\"count_failed\",\"message\":\"%s\"}}", message);
	output_write(doc, (size_t)n);
	return 1;
}

/* Called once. 0: the output is the result; anything else: it is the error. */
__attribute__((export_name("execute"))) int32_t execute(void) {
	size_t length;
	char *input = read_all(input_size(), input_read, &length);
	char *url = string_member(input, "url");
	if (!url) return fail("the argument url is missing");

	/* There is no credential to add: latchgate does that on the way. */
	const char *format = "{\"method\":\"GET\",\"url\":\"%s\",\"headers\":[[\"accept\",\"text/plain\"]]}";
	size_t size = strlen(format) + strlen(url) + 1;
	char *request = malloc(size);
	if (!request) abort();
	int n = snprintf(request, size, format, url);
	int32_t answered = http_request(request, (size_t)n, NULL, 0);
	if (answered == -4) return fail("the upstream took too long");
	if (answered < 0) return fail("the request failed");
	char *response = read_all(answered, response_read, &length);
	if (strncmp(response, "{\"status\":200,", 14) != 0) return fail("the upstream did not answer with 200");

	char *text = read_all(body_size(), body_read, &length);
	host_log(1, "the text is there", 17);
	size_t lines = 0, words = 0;
	int inside = 0;
	for (size_t i = 0; i < length; i++) {
		int space = isspace((unsigned char)text[i]);
		lines += text[i] == '\n';
		words += !space && !inside;
		inside = !space;
	}
	char result[128];
	n = snprintf(result, sizeof result, "{\"ok\":true,\"lines\":%zu,\"words\":%zu,\"bytes\":%zu}", lines, words, length);
	output_write(result, (size_t)n);
	return 0;
}
