// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pg_schema.h"

#include <errno.h>

#include "store/cleanup.h"
#include "tools/pg/pg_impl.h"

/* Conditions and words that many queries share. */
#define OURS(n) " AND " n ".nspname !~ '^pg_' AND " n ".nspname <> 'information_schema' "
#define NOT_OF_EXTENSION(catalog, oid)                                                             \
	" AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = '" catalog                     \
	"'::regclass AND x.objid = " oid " AND x.deptype = 'e') "
#define OWNER(column) "'owner ' || quote_ident(pg_get_userbyid(" column "))"
#define IN_SCHEMA(n, name) "format('%I.%I', " n ".nspname, " name ")"
#define ACL(acl) "array_to_string(ARRAY(SELECT a::text FROM unnest(" acl ") a ORDER BY 1), ', ')"
/* pg_dump's view as well: rights that are what they would be anyway are none. */
#define ACL_SET(acl, type, owner)                                                                  \
	acl " IS NOT NULL AND " ACL(acl) " <> " ACL("acldefault('" type "', " owner ")")
#define TABLES " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "

/* Each selects name, table (or null), definition. */
static const struct {
	const char *kind, *sql;
} queries[] = {
    {"column",
     "SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname), " IN_SCHEMA(
	 "n",
	 "c.relname") ","
		      " concat_ws(' ', format_type(a.atttypid, a.atttypmod),"
		      "  CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || (SELECT "
		      "quote_ident(collname)"
		      "   FROM pg_collation WHERE oid = a.attcollation) END,"
		      "  CASE WHEN a.attnotnull THEN 'not null' END,"
		      "  CASE WHEN a.attgenerated = '' THEN 'default ' || pg_get_expr(d.adbin, "
		      "d.adrelid)"
		      "   ELSE 'generated ' || a.attgenerated::text || ' (' || "
		      "pg_get_expr(d.adbin, "
		      "d.adrelid) || ')' END,"
		      "  CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN "
		      "'identity by default' END,"
		      /* pg_attver: what some minor releases note for themselves; pg_dump leaves it
			 out too */
		      "  (SELECT 'options ' || string_agg(o, ',' ORDER BY o) FROM "
		      "unnest(a.attoptions) o"
		      "   WHERE o NOT LIKE 'pg\\_%'),"
		      "  CASE WHEN a.attstorage <> t.typstorage THEN 'storage ' || "
		      "a.attstorage::text "
		      "END)"
		      " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
		      " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = "
		      "a.atttypid"
		      " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
		      " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', "
		      "'f')" OURS("n") NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"comment",
     "SELECT i.type || ' ' || i.identity, NULL, quote_literal(d.description)"
     " FROM pg_description d,"
     " LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i"
     " WHERE d.objoid >= 16384 AND i.identity IS NOT NULL"
     " AND d.classoid <> 'pg_extension'::regclass"
     " AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid"
     "  AND x.deptype = 'e')"},
    {"constraint",
     "SELECT format('%I on %s', k.conname, " IN_SCHEMA("n", "c.relname") "), " IN_SCHEMA(
	 "n", "c.relname") ", pg_get_constraintdef(k.oid)"
			   " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
			   " JOIN pg_namespace n ON n.oid = c.relnamespace"
			   /* not null is said by the column (a constraint only since 18), triggers
			      by themselves */
			   " WHERE k.contype NOT IN ('n', 't')" OURS("n")
			       NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"default privileges",
     "SELECT concat_ws(' ', 'of', quote_ident(pg_get_userbyid(d.defaclrole)), 'for',"
     "  CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'"
     "  WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas'"
     "  ELSE d.defaclobjtype::text END, 'in ' || quote_ident(n.nspname)), NULL, " ACL(
	 "d.defaclacl") " FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = "
			"d.defaclnamespace"},
    {"event trigger", "SELECT quote_ident(evtname), NULL, concat_ws(', ', 'on ' || evtevent,"
		      " evtfoid::regprocedure::text, 'tags ' || array_to_string(evttags, ','),"
		      " 'enabled ' || evtenabled::text, " OWNER(
			  "evtowner") ")"
				      " FROM pg_event_trigger WHERE true" NOT_OF_EXTENSION(
					  "pg_event_trigger", "pg_event_trigger.oid")},
    {"extension",
     "SELECT quote_ident(e.extname), NULL, 'version ' || e.extversion || ', schema ' ||"
     " quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"},
    {"foreign server",
     "SELECT quote_ident(s.srvname), NULL, concat_ws(', ', 'wrapper ' || quote_ident(w.fdwname),"
     " s.srvtype, s.srvversion, array_to_string(s.srvoptions, ' '), " OWNER(
	 "s.srvowner") ")"
		       " FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = "
		       "s.srvfdw"},
    {"function",
     "SELECT p.oid::regprocedure::text, NULL, CASE WHEN p.prokind = 'a' THEN"
     "  (SELECT format('aggregate, transition %s, final %s, state %s, initial %s',"
     "   g.aggtransfn::regproc, g.aggfinalfn::regproc, format_type(g.aggtranstype, NULL),"
     "   coalesce(g.agginitval, 'null')) FROM pg_aggregate g WHERE g.aggfnoid = p.oid)"
     "  ELSE pg_get_functiondef(p.oid) END || ', ' || " OWNER(
	 "p.proowner") " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE "
		       "true" OURS("n") NOT_OF_EXTENSION("pg_proc", "p.oid")},
    {"grant", "SELECT 'on ' || what, of_table, rights FROM ("
	      " SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || " IN_SCHEMA("n", "c."
												      "relna"
												      "me") "  AS what, CASE WHEN c.relkind IN ('r', 'p', 'f') THEN " IN_SCHEMA("n", "c."
																						     "relna"
																						     "me") "  END AS of_table, " ACL("c.relacl") " AS rights" TABLES "  WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')" OURS("n") NOT_OF_EXTENSION("pg_class", "c.oid") " AND (c.relkind = 'S' AND " ACL_SET("c.relacl",
																																																"s",
																																																"c.relowner") " OR c.relkind <> 'S' AND " ACL_SET("c.relacl",
																																																						  "r",
																																																						  "c.relowner") ")"
																																																								" UNION ALL SELECT format('column %I.%I.%I', n.nspname, c.relname, "
																																																								"a.attname),"
																																																								"  " IN_SCHEMA("n", "c.relname") ", " ACL(
																																																								    "a.attacl") "  FROM pg_attribute a JOIN pg_class c ON c.oid = "
																																																										"a.attrelid"
																																																										"  JOIN pg_namespace n ON n.oid = c.relnamespace"
																																																										"  WHERE NOT a.attisdropped AND a.attacl IS NOT "
																																																										"NULL" OURS(
																																																										    "n") NOT_OF_EXTENSION("pg_class",
																																																													  "c."
																																																													  "oid") " UNION ALL SELECT 'function ' || p.oid::regprocedure, NULL, " ACL("p.proacl") "  FROM pg_proc p JOIN "
																																																																								"pg_namespace n "
																																																																								"ON n.oid = p.pronamespace "
																																																																								"WHERE " ACL_SET(
																																																																								    "p.proacl",
																																																																								    "f",
																																																																								    "p.proowner") OURS("n") NOT_OF_EXTENSION("pg_proc",
																																																																													     "p."
																																																																													     "oi"
																																																																													     "d") " UNION ALL SELECT 'type ' || t.oid::regtype, NULL, " ACL("t.typacl") "  FROM "
																																																																																							"pg_type t "
																																																																																							"JOIN "
																																																																																							"pg_namespace "
																																																																																							"n ON n.oid = "
																																																																																							"t."
																																																																																							"typnamespace "
																																																																																							"WHERE"
																																																																																							" " ACL_SET(
																																																																																							    "t."
																																																																																							    "ty"
																																																																																							    "pa"
																																																																																							    "c"
																																																																																							    "l",
																																																																																							    "T",
																																																																																							    "t."
																																																																																							    "ty"
																																																																																							    "po"
																																																																																							    "wn"
																																																																																							    "e"
																																																																																							    "r") OURS("n") NOT_OF_EXTENSION("pg_type",
																																																																																											    "t.oid") " UNION ALL SELECT 'schema ' || quote_ident(n.nspname), NULL, " ACL("n."
																																																																																																					 "nspac"
																																																																																																					 "l") " "
																																																																																																					      " "
																																																																																																					      "F"
																																																																																																					      "R"
																																																																																																					      "O"
																																																																																																					      "M"
																																																																																																					      " "
																																																																																																					      "p"
																																																																																																					      "g"
																																																																																																					      "_"
																																																																																																					      "n"
																																																																																																					      "a"
																																																																																																					      "m"
																																																																																																					      "e"
																																																																																																					      "s"
																																																																																																					      "p"
																																																																																																					      "a"
																																																																																																					      "c"
																																																																																																					      "e"
																																																																																																					      " "
																																																																																																					      "n"
																																																																																																					      " "
																																																																																																					      "W"
																																																																																																					      "H"
																																																																																																					      "E"
																																																																																																					      "R"
																																																																																																					      "E"
																																																																																																					      " " ACL_SET(
																																																																																																						  "n.nspacl",
																																																																																																						  "n",
																																																																																																						  "n.nspowner")
																																																																																																						  OURS("n") NOT_OF_EXTENSION(
																																																																																																						      "pg_"
																																																																																																						      "nam"
																																																																																																						      "esp"
																																																																																																						      "ac"
																																																																																																						      "e",
																																																																																																						      "n."
																																																																																																						      "oi"
																																																																																																						      "d") ") g"},
    {"index",
     "SELECT " IN_SCHEMA("n", "c.relname") ", " IN_SCHEMA(
	 "tn", "t.relname") ","
			    " pg_get_indexdef(i.indexrelid)"
			    " || CASE WHEN i.indisvalid THEN '' ELSE ', invalid' END"
			    " || CASE WHEN i.indisclustered THEN ', clustered' ELSE '' END"
			    " || CASE WHEN i.indisreplident THEN ', replica identity' ELSE '' END"
			    " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
			    " JOIN pg_namespace n ON n.oid = c.relnamespace"
			    " JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid "
			    "= t.relnamespace"
			    " WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = "
			    "i.indexrelid"
			    "  AND k.contype IN ('p', 'u', 'x'))" OURS("n")
				NOT_OF_EXTENSION("pg_class", "t.oid")},
    {"materialized view",
     "SELECT " IN_SCHEMA("n",
			 "c.relname") ", NULL, pg_get_viewdef(c.oid) || ' ' || " OWNER("c.relowner")
	 TABLES " WHERE c.relkind = 'm'" OURS("n") NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"policy",
     "SELECT format('%I on %s', p.polname, " IN_SCHEMA("n", "c.relname") "), " IN_SCHEMA(
	 "n",
	 "c.relname") ", concat_ws(' ',"
		      " CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, 'for', "
		      "CASE p.polcmd"
		      "  WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN "
		      "'d' THEN 'delete'"
		      "  ELSE 'all' END,"
		      " 'to ' || (SELECT string_agg(CASE WHEN r = 0 THEN 'public' ELSE quote_ident("
		      "  pg_get_userbyid(r)) END, ', ' ORDER BY 1) FROM unnest(p.polroles) r),"
		      " 'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',"
		      " 'with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')"
		      " FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
		      " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE true" OURS("n")
			  NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"publication",
     "SELECT quote_ident(p.pubname), NULL, concat_ws(', ',"
     " CASE WHEN p.puballtables THEN 'all tables' END,"
     " (SELECT 'tables ' || string_agg(format('%I.%I', t.schemaname, t.tablename), ' ' ORDER BY 1)"
     "  FROM pg_publication_tables t WHERE t.pubname = p.pubname AND NOT p.puballtables),"
     " concat(p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate), " OWNER(
	 "p.pubowner") ")"
		       " FROM pg_publication p"},
    {"rule",
     "SELECT format('%I on %s', r.rulename, " IN_SCHEMA("n", "c.relname") "), " IN_SCHEMA(
	 "n", "c.relname") ", pg_get_ruledef(r.oid) || ' enabled ' || r.ev_enabled::text"
			   " FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class"
			   " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rulename <> "
			   "'_RETURN'" OURS("n") NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"schema", "SELECT quote_ident(n.nspname), NULL, " OWNER(
		   "n.nspowner") " FROM pg_namespace n WHERE true" OURS("n")
		   NOT_OF_EXTENSION("pg_namespace", "n.oid")},
    {"sequence",
     "SELECT " IN_SCHEMA(
	 "n",
	 "c.relname") ", NULL, concat_ws(', ', format_type(s.seqtypid, NULL),"
		      " 'start ' || s.seqstart, 'increment ' || s.seqincrement, 'min ' || s.seqmin,"
		      " 'max ' || s.seqmax, 'cache ' || s.seqcache, CASE WHEN s.seqcycle THEN "
		      "'cycle' END,"
		      " (SELECT format('owned by %s.%I', d.refobjid::regclass, a.attname) FROM "
		      "pg_depend d"
		      "  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = "
		      "d.refobjsubid"
		      "  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype "
		      "= 'a' LIMIT 1), " OWNER(
			  "c.relowner") ")" TABLES " JOIN pg_sequence s ON s.seqrelid = c.oid"
					" WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE "
					"d.classid = 'pg_class'::regclass"
					"  AND d.objid = c.oid AND d.deptype = 'i')" OURS("n")
					    NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"statistics",
     "SELECT " IN_SCHEMA("n", "s.stxname") ", NULL, pg_get_statisticsobjdef(s.oid) || ' ' "
					   "|| " OWNER("s.stxowner") " FROM pg_statistic_ext s "
								     "JOIN pg_namespace n ON n.oid "
								     "= s.stxnamespace"
								     " WHERE true" OURS("n")},
    {"table",
     "SELECT " IN_SCHEMA(
	 "n",
	 "c.relname") ", NULL, concat_ws(', ',"
		      " CASE c.relkind WHEN 'p' THEN 'partitioned by ' || pg_get_partkeydef(c.oid)"
		      "  WHEN 'f' THEN (SELECT 'foreign, server ' || quote_ident(s.srvname) || "
		      "coalesce(' ' ||"
		      "   array_to_string(f.ftoptions, ' '), '') FROM pg_foreign_table f"
		      "   JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid) "
		      "ELSE 'table' END,"
		      " CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,"
		      " (SELECT 'child of ' || string_agg(h.inhparent::regclass::text, ' ' ORDER "
		      "BY h.inhseqno)"
		      "  FROM pg_inherits h WHERE h.inhrelid = c.oid),"
		      " CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,"
		      " CASE WHEN c.relrowsecurity THEN 'row security' END,"
		      " CASE WHEN c.relforcerowsecurity THEN 'forced row security' END,"
		      " CASE WHEN c.relreplident NOT IN ('d', 'n') OR c.relreplident = 'n' AND "
		      "c.relkind = 'r'"
		      "  THEN 'replica identity ' || c.relreplident::text END,"
		      " 'of ' || nullif(c.reloftype, 0)::regtype,"
		      " 'options ' || array_to_string(c.reloptions, ' '),"
		      " 'tablespace ' || (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid "
		      "= c.reltablespace),"
		      " 'access method ' || (SELECT quote_ident(amname) FROM pg_am WHERE oid = "
		      "c.relam"
		      "  AND amname <> 'heap'), " OWNER(
			  "c.relowner") ")" TABLES " WHERE c.relkind IN ('r', 'p', 'f')" OURS("n")
			  NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"trigger",
     "SELECT format('%I on %s', t.tgname, " IN_SCHEMA("n", "c.relname") "), " IN_SCHEMA(
	 "n", "c.relname") ", pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'O' THEN ''"
			   " WHEN 'D' THEN ', disabled' ELSE ', enabled ' || t.tgenabled::text END"
			   " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
			   " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT "
			   "t.tgisinternal" OURS("n") NOT_OF_EXTENSION("pg_class", "c.oid")},
    {"type",
     "SELECT " IN_SCHEMA(
	 "n",
	 "t.typname") ", NULL, concat_ws(', ', CASE t.typtype"
		      " WHEN 'e' THEN 'enum (' || (SELECT string_agg(quote_literal(enumlabel), ', "
		      "' ORDER BY"
		      "  enumsortorder) FROM pg_enum WHERE enumtypid = t.oid) || ')'"
		      " WHEN 'd' THEN concat_ws(' ', 'domain over', format_type(t.typbasetype, "
		      "t.typtypmod),"
		      "  CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,"
		      "  (SELECT string_agg(quote_ident(conname) || ' ' || "
		      "pg_get_constraintdef(oid), ' ' ORDER BY"
		      "   conname) FROM pg_constraint WHERE contypid = t.oid AND contype <> 'n'))"
		      " WHEN 'r' THEN 'range of ' || (SELECT format_type(rngsubtype, NULL) FROM "
		      "pg_range"
		      "  WHERE rngtypid = t.oid)"
		      " ELSE 'composite (' || (SELECT string_agg(quote_ident(attname) || ' ' ||"
		      "  format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute"
		      "  WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped) || ')' "
		      "END, " OWNER("t.typowner") ") FROM pg_type t JOIN pg_namespace n ON n.oid = "
						  "t.typnamespace"
						  " LEFT JOIN pg_class c ON c.oid = t.typrelid"
						  " WHERE (t.typtype IN ('e', 'd', 'r') OR "
						  "t.typtype = 'c' AND c.relkind = 'c')" OURS("n")
						      NOT_OF_EXTENSION("pg_type", "t.oid")},
    {"view", "SELECT " IN_SCHEMA(
		 "n", "c.relname") ", NULL, concat_ws(' ', pg_get_viewdef(c.oid),"
				   " 'options ' || array_to_string(c.reloptions, ' '), " OWNER(
				       "c.relowner") ")" TABLES " WHERE c.relkind = 'v'" OURS("n")
				       NOT_OF_EXTENSION("pg_class", "c.oid")},
};

struct reading {
	const char *kind;
	json_t *objects;
};

static cow_errno add_object(void *arg, const char *const *values)
{
	const struct reading *reading = arg;
	json_t *o = json_pack("{s:s,s:s?,s:s?,s:s?}", "kind", reading->kind, "name", values[0],
			      "table", values[1], "definition", values[2] ? values[2] : "");

	/* A database in another encoding than UTF-8: libpq was told to convert. */
	return o ? json_array_append_new(reading->objects, o) : -EILSEQ;
}

static cow_errno read_all(struct pg_session *s, json_t *objects, struct cow_error *e)
{
	/* Names have their schema only when none is in the path; one snapshot for all queries. */
	cow_errno r = pg_run(s, "begin to read the schema",
			     "SET client_encoding = 'UTF8'; SET search_path = '';"
			     "SET statement_timeout = 0; SET lock_timeout = '30s'",
			     e);

	if (r == 0)
		r = pg_run(s, "begin to read the schema",
			   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e);
	for (size_t k = 0; r == 0 && k < sizeof(queries) / sizeof(queries[0]); k++) {
		struct reading reading = {.kind = queries[k].kind, .objects = objects};
		CLEANUP_FREE char *doing = NULL, *sql = NULL;

		if (asprintf(&doing, "read each %s", queries[k].kind) < 0 ||
		    asprintf(
			&sql,
			"SELECT * FROM (%s) q(a, b, c) ORDER BY a COLLATE \"C\", c COLLATE \"C\"",
			queries[k].sql) < 0)
			return -ENOMEM;
		r = pg_rows(s, &(struct pg_query){.doing = doing, .sql = sql}, add_object, &reading,
			    e);
	}
	return r;
}

cow_errno cow_pg_schema_objects(const struct pg_address *at, json_t **ret, struct cow_error *e)
{
	struct pg_session *s = NULL;
	json_t *objects = json_array();
	cow_errno r = cow_pg_open(at, &s, e);

	if (r == 0)
		r = read_all(s, objects, e);
	cow_pg_close(s);
	if (r < 0)
		json_decref(objects);
	else
		*ret = objects;
	return r;
}
