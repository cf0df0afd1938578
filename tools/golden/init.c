// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/os.h"
#include "tools/daemon/config.h"

static const char conf_text[] =
    "# The golden image: one masked copy of production, from which branches are made.\n"
    "# Paths that do not begin with / begin at this file. Keep it, and rules/, under version "
    "control:\n"
    "# there is no secret in either. Check it with: cowfs golden check\n"
    "\n"
    "[image]\n"
    "name = golden                  ; the branch that CI makes its branches from\n"
    ";databases = shop              ; those to publish (default: all of the source)\n"
    ";owner = postgres              ; system user who owns the data\n"
    ";keep = 2                      ; images that stay, for those who still look at an older one\n"
    ";refresh = daily 03:00         ; cowfs serve refreshes by itself; or: hourly, every 6h, "
    "weekly sun 04:00\n"
    "\n"
    "[source]\n"
    "; One of four. A running server, streamed with pg_basebackup; the role needs REPLICATION.\n"
    "; The password belongs into ~/.pgpass of the owner, not here.\n"
    "type = basebackup\n"
    "url = host=db.internal user=replicator\n"
    "; A data directory of a server that does not run:\n"
    ";type = pgdata\n"
    ";pgdata = /var/lib/postgresql/15/main\n"
    "; A dump in custom or directory format; globals are the roles (pg_dumpall --globals-only):\n"
    ";type = dump\n"
    ";dump = /backup/shop.dump\n"
    ";globals = /backup/globals.sql\n"
    "; The newest backup in a repository of pgBackRest:\n"
    ";type = pgbackrest\n"
    ";stanza = main\n"
    ";repo = /var/lib/pgbackrest    ; or config = /etc/pgbackrest.conf\n"
    ";superuser = postgres          ; a role of the source that may do everything\n"
    "\n"
    "[masking]\n"
    ";rules = rules                 ; folder of rules\n"
    ";salt = /etc/cowfs/golden.salt ; the secret behind the fakes (default: kept in the store)\n"
    ";labels = yes                  ; SECURITY LABELs for anon in the source count as rules\n"
    ";jobs = 4                      ; tables at once (default: one for each processor)\n"
    "\n"
    "[publish]\n"
    ";fake_domain = test.example    ; e-mail addresses there are fakes\n"
    ";allow_domain = example.com    ; addresses there may stay\n"
    ";allow = public.countries      ; tables, or columns, in which nothing is looked for\n"
    ";rewrite_after = 7             ; images in a row that may take unchanged tables from the one "
    "before; 0 = none\n"
    ";sample = 1000                 ; originals of each masked column that are looked for\n"
    ";passwords = drop              ; of roles; or keep\n";

static const char rules_text[] =
    "-- Rules of the golden image. Every column of every table needs one: a column that nobody "
    "listed\n"
    "-- stops the refresh. `cowfs golden check` lists those, each with a suggestion to paste "
    "here.\n"
    "-- Files are read in the order of their names; those in a folder rules/DATABASE/ are for that "
    "database.\n"
    "--\n"
    "-- Names without a schema are in public. NULL stays NULL. Equal values have equal fakes, in "
    "every table\n"
    "-- and at every refresh, so joins and uniqueness survive. Array elements are masked one by "
    "one.\n"
    "--\n"
    "--   MASK users.email       WITH email;             user_123456789012345678@test.example\n"
    "--   MASK users.name        WITH name;              also first_name, last_name, company, "
    "city, address\n"
    "--   MASK users.phone       WITH phone;             +999 and digits, in the shape of the "
    "original\n"
    "--   MASK accounts.iban     WITH iban;              valid check digits, no bank\n"
    "--   MASK accounts.card     WITH card;              valid check digit, 4000 00...\n"
    "--   MASK notes.body        WITH text;              words of the same length in all\n"
    "--   MASK cars.plate        WITH shape;             letters for letters, digits for digits\n"
    "--   MASK users.born        WITH shift(30);         up to 30 days earlier or later\n"
    "--   MASK visits.at         WITH shift(30, user_id);  the same shift for all rows of a user\n"
    "--   MASK users.id          WITH hash;              integers: a permutation; text, uuid, "
    "bytea: a digest\n"
    "--   MASK users.salary      WITH noise(0.2);        up to 20 % less or more\n"
    "--   MASK users.ip          WITH ip;                an address in 10.0.0.0/8 or fd00::/8\n"
    "--   MASK users.code        WITH partial(2, '***', 1);  the first two and the last character "
    "stay\n"
    "--   MASK events.payload    WITH json;              keys stay; texts and numbers in it are "
    "masked\n"
    "--   MASK users.password    WITH value('secret');   the same for all\n"
    "--   MASK users.token       WITH null;\n"
    "--   MASK users.score       WITH sql('(random() * 100)::int');  an expression of your own\n"
    "--   KEEP orders (id, user_id, total);              as it is\n"
    "--   EMPTY audit_log;                               published without rows\n"
    "--   LARGE OBJECTS EMPTY;                           or KEEP, when there are any\n"
    "--\n"
    "-- Rules of PostgreSQL Anonymizer are understood as well:\n"
    "--   SECURITY LABEL FOR anon ON COLUMN public.users.email IS 'MASKED WITH FUNCTION "
    "anon.fake_email()';\n"
    "\n";

static cow_errno write_new(const char *path, const char *text, struct cow_error *e)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	cow_errno r;

	if (fd < 0)
		return cow_fail(e, -errno, "cannot make %s: %s", path, strerror(errno));
	r = cow_os_pwrite(fd, text, strlen(text), 0);
	return r < 0 ? cow_fail(e, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

static cow_errno make_folder(const char *path, struct cow_error *e)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return cow_fail(e, -errno, "cannot make %s: %s", path, strerror(errno));
	return 0;
}

cow_errno golden_init(const char *dir, struct cow_error *e)
{
	char conf[PATH_MAX + 16], folder[PATH_MAX + 8], rules[PATH_MAX + 24];
	cow_errno r;

	snprintf(conf, sizeof(conf), "%s/golden.conf", dir);
	snprintf(folder, sizeof(folder), "%s/rules", dir);
	snprintf(rules, sizeof(rules), "%s/rules/rules.sql", dir);
	for (int k = 0; k < 2; k++) {
		const char *path = k ? rules : conf;

		if (access(path, F_OK) == 0) {
			cow_fail(e, -EEXIST, "there is a file %s already", path);
			return cow_hint(e, -EEXIST,
					"Nothing was written. See what it asks for "
					"with: cowfs golden check --config %s",
					conf);
		}
	}
	r = make_folder(dir, e);
	if (r == 0)
		r = make_folder(folder, e);
	if (r == 0)
		r = write_new(rules, rules_text, e);
	return r < 0 ? r : write_new(conf, conf_text, e);
}

cow_errno golden_init_find(const char *store, char **ret, struct cow_error *e)
{
	struct config *c = NULL;
	const char *path;
	cow_errno r = config_load(store, &c, e);

	if (r < 0)
		return r;
	path = config_get(c, "golden", "config");
	*ret = path ? strdup(path) : NULL;
	config_free(c);
	if (*ret)
		return 0;
	cow_fail(e, -ENOENT, "the store %s has no golden image configured", store);
	return cow_hint(e, -ENOENT,
			"Make a configuration with: cowfs golden init DIR, or name one "
			"with --config");
}

cow_errno golden_init_register(const char *store, const char *conf, bool *ret_noted,
			       struct cow_error *e)
{
	CLEANUP_FREE char *old = NULL;
	char path[PATH_MAX + 16];
	FILE *f;
	cow_errno r = golden_init_find(store, &old, e);

	*ret_noted = false;
	if (r != -ENOENT)
		return r;
	*e = (struct cow_error)COW_ERROR_INIT;
	snprintf(path, sizeof(path), "%s/cowfs.conf", store);
	f = fopen(path, "ae");
	if (!f)
		return cow_fail(e, -errno, "cannot write %s: %s", path, strerror(errno));
	fprintf(f, "\n[golden]\nconfig = %s\n", conf);
	if (fclose(f) != 0)
		return cow_fail(e, -EIO, "cannot write %s: %s", path, strerror(errno));
	*ret_noted = true;
	return 0;
}
