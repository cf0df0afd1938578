// SPDX-License-Identifier: Apache-2.0
/* Addresses of servers there, as this side reaches them: by the name of the machine, or through a
 * tunnel. Servers listen on 127.0.0.1 unless `cowfs serve --listen` says otherwise. */
#include <stdio.h>
#include <string.h>

#include "tools/pg/pgbranch.h"
#include "tools/remote/remote.h"

/* Keys that only mean something there. */
static void drop_places(json_t *address)
{
	static const char *const keys[] = {"socket_dir", "data_directory", "log", "pid"};

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		json_object_del(address, keys[k]);
}

void remote_address_set(json_t *address, const char *host, int port)
{
	struct pgbranch b = {.port = port};
	char url[2048];

	snprintf(b.host, sizeof(b.host), strchr(host, ':') ? "[%s]" : "%s", host);
	pgbranch_url(&b, json_string_value(json_object_get(address, "user")),
		     json_string_value(json_object_get(address, "database")), url, sizeof(url));
	json_object_set_new(address, "host", json_string(host));
	json_object_set_new(address, "port", json_integer(port));
	json_object_set_new(address, "connection_uri", json_string(url));
	drop_places(address);
}

int remote_address(struct command_call *call, const char *const *without, json_t **ret)
{
	int r = remote_ask(call, without, ret);
	char name[256];

	if (r != 0)
		return r;
	remote_host_name(call->host, name, sizeof(name));
	remote_address_set(*ret, name, (int)json_integer_value(json_object_get(*ret, "port")));
	return 0;
}
