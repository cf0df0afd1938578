// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pg_roles.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"

/* --- passwords --- */

#define PASSWORD_BYTES 18 /* 144 bits, 24 letters */
#define PASSWORD_LETTERS (PASSWORD_BYTES / 3 * 4)

/* Letters that need no quoting anywhere, from the kernel's random numbers. */
static cow_errno random_password(char ret[PASSWORD_LETTERS + 1], struct cow_error *e)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t raw[PASSWORD_LETTERS];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		return cow_fail(e, -EIO, "no random numbers");
	for (size_t k = 0; k < sizeof(raw); k++)
		ret[k] = letters[raw[k] & 63];
	ret[sizeof(raw)] = '\0';
	return 0;
}

/* The server sees the verifier only: what it logs or keeps is not
 * the password. */
static cow_errno set_verifier(PGconn *c, const char *role, const char *verifier,
			      struct cow_error *e)
{
	char *name = PQescapeIdentifier(c, role, strlen(role)), *text = NULL;
	char *literal = PQescapeLiteral(c, verifier, strlen(verifier));
	CLEANUP(pg_clear) PGresult *res = NULL;
	cow_errno r = 0;

	if (name && literal && asprintf(&text, "ALTER ROLE %s PASSWORD %s", name, literal) > 0)
		res = PQexec(c, text);
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		r = pg_said(e, -EPERM, "give a role a new password", PQerrorMessage(c));
	free(text);
	PQfreemem(name);
	PQfreemem(literal);
	return r;
}

/* `passwords`, `verifiers` NULL: one that nobody knows. */
static cow_errno new_password(PGconn *c, const char *role, json_t *passwords, json_t *verifiers,
			      struct cow_error *e)
{
	char password[PASSWORD_LETTERS + 1];
	cow_errno r = random_password(password, e);
	char *verifier = r == 0 ? PQencryptPasswordConn(c, password, role, NULL) : NULL;

	if (r == 0 && !verifier)
		r = pg_said(e, -EPERM, "make a password", PQerrorMessage(c));
	if (r == 0)
		r = set_verifier(c, role, verifier, e);
	if (r == 0 && passwords) {
		json_object_set_new(passwords, role, json_string(password));
		json_object_set_new(verifiers, role, json_string(verifier));
	}
	PQfreemem(verifier);
	return r;
}

static cow_errno roles_with_passwords(PGconn *c, PGresult **ret, struct cow_error *e)
{
	*ret = PQexec(c, "SELECT rolname FROM pg_authid WHERE rolcanlogin AND "
			 "rolpassword IS NOT NULL ORDER BY 1");
	return PQresultStatus(*ret) == PGRES_TUPLES_OK
		   ? 0
		   : pg_said(e, -EPERM, "list the roles", PQresultErrorMessage(*ret));
}

cow_errno cow_pg_new_passwords(const struct pg_address *at, bool all, bool restricted,
			       json_t **passwords, json_t **verifiers, struct cow_error *e)
{
	json_t *given = json_object(), *kept = json_object();
	CLEANUP(pg_finish) PGconn *c = NULL;
	CLEANUP(pg_clear) PGresult *res = NULL;
	cow_errno r = pg_dial_shared(at, &c, e);

	if (r == 0 && restricted)
		r = new_password(c, PG_RESTRICTED, given, kept, e);
	if (r == 0 && all)
		r = roles_with_passwords(c, &res, e);
	for (int k = 0; r == 0 && k < PQntuples(res); k++)
		if (!json_object_get(given, PQgetvalue(res, k, 0)))
			r = new_password(c, PQgetvalue(res, k, 0), given, kept, e);
	if (r == 0) {
		*passwords = given;
		*verifiers = kept;
		return 0;
	}
	json_decref(given);
	json_decref(kept);
	return r;
}

cow_errno cow_pg_old_passwords(const struct pg_address *at, const json_t *verifiers, bool forget,
			       struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *c = NULL;
	CLEANUP(pg_clear) PGresult *res = NULL, *roles = NULL;
	cow_errno r = pg_dial_shared(at, &c, e);

	if (r == 0)
		r = roles_with_passwords(c, &res, e);
	for (int k = 0; r == 0 && forget && k < PQntuples(res); k++)
		r = new_password(c, PQgetvalue(res, k, 0), NULL, NULL, e);
	/* Only roles that there are: the contents are others now. */
	if (r == 0)
		roles = PQexec(c, "SELECT rolname FROM pg_authid WHERE rolcanlogin");
	if (r == 0 && PQresultStatus(roles) != PGRES_TUPLES_OK)
		r = pg_said(e, -EPERM, "list the roles", PQresultErrorMessage(roles));
	for (int k = 0; r == 0 && k < PQntuples(roles); k++) {
		const char *role = PQgetvalue(roles, k, 0);
		const char *old = json_string_value(json_object_get(verifiers, role));

		if (old)
			r = set_verifier(c, role, old, e);
	}
	return r;
}

/* --- superusers --- */

static const char superusers[] = "SELECT rolname FROM pg_authid WHERE rolsuper ORDER BY 1";

/* Each gives statements to run, one a row. What every database shares. CREATEDB is no harm. */
static const char *const shared[] = {
    "SELECT 'CREATE ROLE restricted' WHERE NOT EXISTS (SELECT FROM pg_authid WHERE rolname = "
    "'restricted')",
    "SELECT 'ALTER ROLE restricted LOGIN INHERIT CREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS "
    "CONNECTION LIMIT -1 VALID UNTIL ''infinity'''",
    "SELECT format('ALTER ROLE %I PASSWORD NULL', rolname) FROM pg_authid WHERE rolsuper AND "
    "rolpassword IS NOT NULL",
    /* Whoever is a member of a superuser becomes it by SET ROLE. */
    "SELECT format('REVOKE %I FROM %I GRANTED BY %I CASCADE', g.rolname, m.rolname, "
    "coalesce(b.rolname, current_user)) FROM pg_auth_members a JOIN pg_authid g ON g.oid = roleid "
    "JOIN pg_authid m ON m.oid = member LEFT JOIN pg_authid b ON b.oid = grantor "
    "WHERE NOT m.rolsuper AND (g.rolsuper OR g.rolname IN ('pg_execute_server_program', "
    "'pg_read_server_files', 'pg_write_server_files'))",
    "SELECT format('ALTER ROLE %I NOREPLICATION', rolname) FROM pg_authid WHERE NOT rolsuper AND "
    "rolreplication",
    "SELECT format('ALTER ROLE %I NOCREATEROLE', rolname) FROM pg_authid WHERE NOT rolsuper AND "
    "rolcreaterole AND current_setting('server_version_num')::int < 160000",
    /* It may do what every other role may: applications own tables too. Not pg_read_all_data:
     * that reads the passwords in pg_authid as well. */
    "SELECT format('GRANT %I TO restricted', rolname) FROM pg_authid WHERE NOT rolsuper AND "
    "rolname <> 'restricted' AND (rolname !~ '^pg_' OR rolname IN ('pg_monitor', "
    "'pg_signal_backend', 'pg_checkpoint')) AND NOT pg_has_role(oid, 'restricted', 'MEMBER')",
    "SELECT format('ALTER DATABASE %I OWNER TO restricted', datname) FROM pg_database JOIN "
    "pg_authid a ON a.oid = datdba WHERE rolsuper AND NOT datistemplate",
};

static const char databases[] =
    "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate";

/* The objects of superusers in one database, but those of the system and of extensions; sequences
 * follow their table. Functions in languages that only a superuser may write stay: whose they are
 * decides what a SECURITY DEFINER may do, but nobody can change them. */
static const char objects[] =
    "SELECT format('ALTER %s %s OWNER TO restricted', CASE i.type WHEN 'statistics object' THEN "
    "'statistics' ELSE i.type END, i.identity) FROM ("
    "SELECT 'pg_namespace'::regclass c, oid o, nspowner w FROM pg_namespace WHERE nspname !~ "
    "'^pg_' AND nspname <> 'information_schema' UNION ALL "
    "SELECT 'pg_class'::regclass, oid, relowner FROM pg_class t WHERE relkind IN "
    "('r','p','v','m','f','S') AND NOT EXISTS (SELECT FROM pg_depend d WHERE t.relkind = 'S' AND "
    "d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.refclassid = "
    "'pg_class'::regclass AND d.deptype IN ('a', 'i')) UNION ALL "
    "SELECT 'pg_type'::regclass, t.oid, typowner FROM pg_type t LEFT JOIN pg_class k ON k.oid = "
    "typrelid WHERE typtype IN ('d','e','r') OR (typtype = 'c' AND k.relkind = 'c') OR (typtype = "
    "'b' AND typcategory <> 'A') UNION ALL "
    "SELECT 'pg_proc'::regclass, p.oid, proowner FROM pg_proc p JOIN pg_language l ON l.oid = "
    "prolang WHERE lanpltrusted OR prokind = 'a' UNION ALL "
    "SELECT 'pg_operator'::regclass, oid, oprowner FROM pg_operator UNION ALL "
    "SELECT 'pg_opclass'::regclass, oid, opcowner FROM pg_opclass UNION ALL "
    "SELECT 'pg_opfamily'::regclass, oid, opfowner FROM pg_opfamily UNION ALL "
    "SELECT 'pg_collation'::regclass, oid, collowner FROM pg_collation UNION ALL "
    "SELECT 'pg_conversion'::regclass, oid, conowner FROM pg_conversion UNION ALL "
    "SELECT 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config UNION ALL "
    "SELECT 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict UNION ALL "
    "SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext UNION ALL "
    "SELECT 'pg_publication'::regclass, oid, pubowner FROM pg_publication UNION ALL "
    "SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata"
    ") x JOIN pg_authid a ON a.oid = w, LATERAL pg_identify_object(c, o, 0) i "
    "WHERE rolsuper AND (o >= 16384 OR c = 'pg_largeobject'::regclass OR (c = "
    "'pg_namespace'::regclass AND i.identity = 'public')) "
    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = c AND d.objid = o AND d.deptype = "
    "'e')";

/* Run what `sql` makes. `optional`: a statement that the server refuses is left out. */
static cow_errno run_each(PGconn *c, const char *sql, bool optional, struct cow_error *e)
{
	CLEANUP(pg_clear) PGresult *res = PQexec(c, sql);
	cow_errno r = 0;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		return pg_said(e, -EPERM, "look at the roles", PQresultErrorMessage(res));
	for (int k = 0; r == 0 && k < PQntuples(res); k++) {
		CLEANUP(pg_clear) PGresult *done = PQexec(c, PQgetvalue(res, k, 0));

		if (PQresultStatus(done) != PGRES_COMMAND_OK &&
		    (!optional || PQstatus(c) != CONNECTION_OK))
			r = pg_said(e, -EPERM, "restrict the roles", PQresultErrorMessage(done));
	}
	return r;
}

/* Triggers on events would see our changes: they are not run by a replica. */
static cow_errno give_objects(const struct pg_address *at, const char *dbname, struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *db = NULL;
	cow_errno r = pg_dial_plain(at, dbname, &db, e);

	if (r == 0) {
		CLEANUP(pg_clear)
		PGresult *res = PQexec(db, "SET session_replication_role = replica");

		PQsetNoticeReceiver(db, pg_no_notice, NULL);
		if (PQresultStatus(res) != PGRES_COMMAND_OK)
			return pg_said(e, -EPERM, "restrict the roles", PQresultErrorMessage(res));
		r = run_each(db, objects, true, e);
	}
	return r;
}

static cow_errno list_superusers(PGconn *c, json_t **ret, struct cow_error *e)
{
	CLEANUP(pg_clear) PGresult *res = PQexec(c, superusers);
	json_t *names = json_array();

	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		json_decref(names);
		return pg_said(e, -EPERM, "list the superusers", PQresultErrorMessage(res));
	}
	for (int k = 0; k < PQntuples(res); k++) {
		json_array_append_new(names, json_string(PQgetvalue(res, k, 0)));
		if (strcmp(PQgetvalue(res, k, 0), PG_RESTRICTED) == 0) {
			json_decref(names);
			return cow_fail(e, -EEXIST, "the role %s is a superuser", PG_RESTRICTED);
		}
	}
	*ret = names;
	return 0;
}

cow_errno cow_pg_lock_superusers(const struct pg_address *at, json_t **names, struct cow_error *e)
{
	CLEANUP(pg_finish) PGconn *c = NULL;
	CLEANUP(pg_clear) PGresult *all = NULL;
	json_t *found = NULL;
	cow_errno r = pg_dial_shared(at, &c, e);

	if (r == 0)
		r = list_superusers(c, &found, e);
	if (r == 0)
		PQsetNoticeReceiver(c, pg_no_notice, NULL);
	for (size_t k = 0; r == 0 && k < sizeof(shared) / sizeof(shared[0]); k++)
		r = run_each(c, shared[k], false, e);
	if (r == 0) {
		all = PQexec(c, databases);
		if (PQresultStatus(all) != PGRES_TUPLES_OK)
			r = pg_said(e, -EPERM, "list the databases", PQresultErrorMessage(all));
	}
	for (int k = 0; r == 0 && k < PQntuples(all); k++)
		r = give_objects(at, PQgetvalue(all, k, 0), e);
	if (r == 0)
		*names = found;
	else
		json_decref(found);
	return r;
}
