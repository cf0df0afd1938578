# SPDX-License-Identifier: Apache-2.0
"""No test sees another's rows, whether it commits or not."""


def count(c):
    with c.cursor() as q:
        q.execute("select count(*) from orders")
        return q.fetchone()[0]


def test_changes_are_rolled_back(db):
    before = count(db)
    db.cursor().execute("delete from orders")
    assert count(db) == 0 and before > 0


def test_sees_nothing_of_it(db):
    assert count(db) > 0


def test_commits(fresh_db):
    fresh_db.cursor().execute("truncate orders; drop table if exists something")
    fresh_db.commit()
    assert count(fresh_db) == 0


def test_is_fresh_again(db):
    assert count(db) > 0
