#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# long: packages of other languages; each part that is missing here is named and left out
# timeout 600
# Clients as people use them come through sleep and wake unchanged: Node's pg, Prisma (migrate deploy as in a CI job, and its
# client), Django with its migrations, JDBC. Prisma runs with the engines that come in its packages (WebAssembly), because
# its native ones are downloaded from a server of their own.
# COWFS_NODE_MODULES: a directory where these were installed (without it, npm is tried): pg prisma@6.19.0 @prisma/client@6.19.0
# @prisma/adapter-pg@7.10.1
. "$(dirname "$0")/../lib/lib.sh"
. "$(dirname "$0")/../lib/serve.sh"
requires fuse root postgres
import_main
branch feature/app
export port ran=0
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=app.db.test' -addext 'subjectAltName=DNS:localhost' \
	-keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
serve_start --suspend-timeout 700ms --tls-cert "$T/cert.pem" --tls-key "$T/key.pem"
cowfs psql feature/app -- -XAtqc "create role app login superuser password 'p@ss word'" >&2
sed -i 's/^host .*127.0.0.1.*/host all all 127.0.0.1\/32 scram-sha-256/' "$M/feature/app/pg_hba.conf"
port=$(port_of feature/app)
asleep() { eventually 30 state_is feature/app suspended; }

# node_get PACKAGE...: into $modules; says so when it cannot.
node_get() {
	modules=${COWFS_NODE_MODULES:-$T/node}
	[[ ! -d $modules/node_modules/${1%@[0-9]*} ]] || return 0
	mkdir -p "$modules"
	# The adapter of 6.19 cannot read the type "name"; that of 7 can, and says it wants a newer prisma.
	(cd "$modules" && echo '{}' >package.json && timeout 200 npm install --silent --no-fund --no-audit --force "$@") >&2 ||
		{ note "npm cannot get $*" && return 1; }
}

node_part() {
	command -v node npm >/dev/null || { note "not here: node, npm" && return; }
	node_get pg || return 0
	cat >"$T/app.js" <<'JS'
const { Pool } = require("pg");
const sleep = ms => new Promise(done => setTimeout(done, ms));
(async () => {
  const port = process.env.port;
  // As an application has it: a pool, from a URL; idle connections are closed by the pool itself.
  for (const ssl of [false, { rejectUnauthorized: false }]) {
    const pool = new Pool({ connectionString: `postgresql://app:p%40ss%20word@127.0.0.1:${port}/postgres`, ssl, idleTimeoutMillis: 100, max: 5 });
    pool.on("error", e => { console.error("pool:", e.message); process.exit(1); });
    await pool.query("create table if not exists n(a int)");
    for (let k = 0; k < 2; k++) {
      const rows = await Promise.all([...Array(20).keys()].map(i => pool.query("insert into n values ($1) returning a, current_setting('cluster_name') as c", [i])));
      if (rows.some((r, i) => r.rows[0].a !== i || r.rows[0].c !== "feature/app")) throw new Error("wrong rows");
      await sleep(3000); // the branch falls asleep under the pool
    }
    await pool.end();
  }
})().catch(e => { console.error(e); process.exit(1); });
JS
	local before
	asleep
	before=$(starts_of feature/app)
	NODE_PATH=$modules/node_modules node "$T/app.js" >&2
	(($(starts_of feature/app) >= before + 4)) || fail "the branch did not sleep under the pool"
	ran=$((ran + 1)) && note "Node's pg: a pool over sleep and wake, plain and TLS"
}

prisma_part() {
	command -v node npm npx >/dev/null || { note "not here: node, npm" && return; }
	node_get prisma@6.19.0 @prisma/client@6.19.0 @prisma/adapter-pg@7.10.1 || return 0
	local app=$T/prisma
	mkdir -p "$app/prisma/migrations/1_init" "$app/prisma/migrations/2_more"
	cp -a "$modules/node_modules" "$app/" # prisma generate writes into it
	echo '{"name": "app", "version": "1.0.0"}' >"$app/package.json"
	cat >"$app/prisma/schema.prisma" <<'PRISMA'
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
generator client {
  provider   = "prisma-client-js"
  engineType = "client"
}
model Org {
  id   Int    @id @default(autoincrement())
  name String
}
PRISMA
	echo 'provider = "postgresql"' >"$app/prisma/migrations/migration_lock.toml"
	echo 'CREATE TABLE "Org" ("id" SERIAL PRIMARY KEY);' >"$app/prisma/migrations/1_init/migration.sql"
	echo 'ALTER TABLE "Org" ADD COLUMN "name" TEXT NOT NULL;' >"$app/prisma/migrations/2_more/migration.sql"
	cat >"$app/prisma.config.ts" <<'TS'
import { defineConfig } from "prisma/config";
import { PrismaPg } from "@prisma/adapter-pg";
export default defineConfig({
  schema: "prisma/schema.prisma",
  experimental: { adapter: true },
  engine: "js",
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL }),
});
TS
	cat >"$app/app.js" <<'JS'
const { PrismaClient } = require("@prisma/client");
const { PrismaPg } = require("@prisma/adapter-pg");
const sleep = ms => new Promise(done => setTimeout(done, ms));
(async () => {
  const p = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL, idleTimeoutMillis: 100 }) });
  await p.org.createMany({ data: [{ name: "a" }, { name: "b" }] });
  await sleep(3000); // the branch falls asleep under its pool
  await p.$transaction([p.org.create({ data: { name: "c" } }), p.org.create({ data: { name: "d" } })]);
  if ((await p.org.count()) !== 4) throw new Error("wrong count");
  await p.$disconnect();
})().catch(e => { console.error(e); process.exit(1); });
JS
	cowfs psql feature/app -- -XAtqc 'create database prisma' >&2
	(
		cd "$app"
		export DATABASE_URL="postgresql://app:p%40ss%20word@127.0.0.1:$port/prisma" CHECKPOINT_DISABLE=1
		asleep
		npx --no-install prisma migrate deploy >&2
		asleep
		npx --no-install prisma migrate deploy 2>&1 | grep -q 'No pending migrations' || fail "Prisma: the migrations were not noted"
		npx --no-install prisma generate >&2
		node app.js >&2
	)
	same "$(cowfs psql feature/app -- -XAtqc 'select count(*) from "Org"' prisma)" 4
	ran=$((ran + 1)) && note "Prisma: migrate deploy twice, its client over sleep and wake"
}

django_part() {
	/usr/bin/python3 -c 'import django, psycopg2' 2>/dev/null || { note "not here: python3-django, python3-psycopg2" && return; }
	mkdir -p "$T/dj/shop/migrations"
	touch "$T/dj/shop/__init__.py" "$T/dj/shop/migrations/__init__.py"
	cat >"$T/dj/settings.py" <<'PY'
import os
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": os.environ["port"],
                         "NAME": "postgres", "USER": "app", "PASSWORD": "p@ss word", "OPTIONS": {"sslmode": os.environ.get("mode", "prefer")}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
PY
	cat >"$T/dj/shop/models.py" <<'PY'
from django.db import models
class Order(models.Model):
    customer = models.CharField(max_length=80)
    placed = models.DateTimeField(auto_now_add=True)
PY
	django() { (cd "$T/dj" && DJANGO_SETTINGS_MODULE=settings PYTHONPATH=. /usr/bin/python3 -m django "$@"); }
	asleep
	django makemigrations shop >&2
	django migrate >&2
	asleep
	mode=require django shell -c "
from shop.models import Order
from django.db import transaction
with transaction.atomic():
    [Order.objects.create(customer=str(k)) for k in range(50)]
print(Order.objects.count())" | grep -qx 50 || fail "Django: wrong count"
	asleep
	django test --noinput >&2
	same "$(cowfs psql feature/app -- -XAtqc 'select count(*) from shop_order')" 50
	ran=$((ran + 1)) && note "Django: migrate, atomic, its test database, plain and TLS"
}

jdbc_part() {
	local jar=/usr/share/java/postgresql.jar
	[[ -e $jar ]] && command -v javac >/dev/null || { note "not here: libpostgresql-jdbc-java, a JDK" && return; }
	cat >"$T/App.java" <<'JAVA'
import java.sql.*;
public class App {
    public static void main(String[] a) throws Exception {
        for (String ssl : new String[] {"sslmode=disable", "sslmode=require"}) {
            String url = "jdbc:postgresql://127.0.0.1:" + System.getenv("port") + "/postgres?user=app&password=p%40ss%20word&" + ssl;
            for (int round = 0; round < 2; round++) {
                try (Connection c = DriverManager.getConnection(url)) {
                    c.setAutoCommit(false);
                    try (Statement s = c.createStatement()) { s.execute("create table if not exists j(a int)"); }
                    try (PreparedStatement p = c.prepareStatement("insert into j values (?)")) {
                        for (int k = 0; k < 1000; k++) { p.setInt(1, k); p.addBatch(); }
                        p.executeBatch();
                    }
                    c.commit();
                    try (Statement s = c.createStatement()) {
                        s.setFetchSize(50);
                        int n = 0;
                        try (ResultSet r = s.executeQuery("select a, current_setting('cluster_name') from j")) {
                            while (r.next()) { n++; if (!r.getString(2).equals("feature/app")) throw new Exception(r.getString(2)); }
                        }
                        if (n % 1000 != 0 || n == 0) throw new Exception("rows: " + n);
                        // A statement that is cancelled: the request comes over a connection of its own.
                        s.setQueryTimeout(1);
                        try { s.execute("select pg_sleep(30)"); throw new Exception("was not cancelled"); }
                        catch (SQLException e) { if (!"57014".equals(e.getSQLState())) throw e; }
                    }
                    c.rollback();
                }
                Thread.sleep(2500);
            }
        }
    }
}
JAVA
	javac -d "$T" "$T/App.java" >&2
	asleep
	java -cp "$T:$jar" App >&2
	ran=$((ran + 1)) && note "JDBC: batches, cursors, cancelling, plain and TLS"
}
node_part
prisma_part
django_part
jdbc_part
((ran)) || skip "none of the clients is installed"
asleep
serve_stop
unmount_store
