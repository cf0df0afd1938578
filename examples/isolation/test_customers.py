# SPDX-License-Identifier: Apache-2.0
"""Another file, another branch: the same e-mail may be new in both."""


def test_takes_an_email(fresh_db):
    q = fresh_db.cursor()
    q.execute("insert into customers (email) values ('seed@test.example')")
    fresh_db.commit()


def test_takes_it_again(fresh_db):
    q = fresh_db.cursor()
    q.execute("insert into customers (email) values ('seed@test.example')")
    fresh_db.commit()
