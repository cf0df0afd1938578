// SPDX-License-Identifier: Apache-2.0
#include "tools/daemon/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "tools/cli/parse.h"

json_t *json_text(const char *text)
{
	json_t *v;
	char *copy;

	if (!text)
		return json_null();
	v = json_string(text);
	if (v)
		return v;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	v = json_string(copy);
	free(copy);
	return v;
}

json_t *json_time(int64_t ns)
{
	char buf[PARSE_TIME_SIZE];

	if (ns == 0)
		return json_null();
	parse_time_format(ns, buf, sizeof(buf));
	return json_string(buf);
}

json_t *json_count(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

void json_merge(json_t *into, const json_t *change)
{
	const char *key;
	json_t *v, *old;

	json_object_foreach ((json_t *)change, key, v) {
		old = json_object_get(into, key);
		if (json_is_null(v))
			json_object_del(into, key);
		else if (json_is_object(v) && json_is_object(old))
			json_merge(old, v);
		else
			json_object_set(into, key, v);
	}
}
