# SPDX-License-Identifier: Apache-2.0
"""pytest: a database of its own for each test file, from a branch; and a fresh one for a test that asks.

COWFS_PARENT is the branch to start from (default: golden), or COWFS_POOL a pool (cowfs pool create ci --from golden), whose
branches run already. They expire by themselves if a run is killed. `db` is the connection of the file's branch, rolled back after each test; `fresh_db` is a branch as new,
for tests that commit."""
import json, os, re, subprocess, uuid

import psycopg2
import pytest

POOL = os.environ.get("COWFS_POOL")
PARENT = os.environ.get("COWFS_PARENT", "golden")
DATABASE = os.environ.get("COWFS_DATABASE", "postgres")


def cowfs(*words):
    return subprocess.run(["cowfs", "-o", "json", *words], check=True, stdout=subprocess.PIPE).stdout


class Branch:
    def __init__(self, name):
        self.name = f"test/{re.sub('[^A-Za-z0-9_.]', '-', name)}-{uuid.uuid4().hex[:8]}"
        cowfs("branch", "create", *([f"--from-pool={POOL}"] if POOL else ["--ephemeral", f"--parent={PARENT}"]), "--ttl=1h", "--", self.name)
        self.dirty = False
        self.start()

    def start(self):
        cowfs("start", *([] if POOL else ["-c", "fsync=off"]), "--", self.name)
        self.url = json.loads(cowfs("url", f"--dbname={DATABASE}", "--", self.name))["connection_uri"]

    def reset(self):
        """As it was at first; the URL stays."""
        cowfs("stop", "-m", "immediate", "--", self.name)
        cowfs("branch", "reset", "--yes", "--", self.name)
        self.start()
        self.dirty = False

    def delete(self):
        cowfs("stop", "-m", "immediate", "--", self.name)
        cowfs("branch", "delete", "--yes", "--", self.name)


@pytest.fixture(scope="module")
def branch(request):
    b = Branch(os.path.basename(str(request.fspath)).replace(".py", ""))
    yield b
    b.delete()


@pytest.fixture
def db(branch):
    if branch.dirty:
        branch.reset()
    c = psycopg2.connect(branch.url)
    yield c
    c.rollback()
    c.close()


@pytest.fixture
def fresh_db(branch):
    if branch.dirty:
        branch.reset()
    branch.dirty = True
    c = psycopg2.connect(branch.url)
    yield c
    c.close()
