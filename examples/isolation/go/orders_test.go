// SPDX-License-Identifier: Apache-2.0

package branch

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	_ "github.com/lib/pq"
)

var orders *Branch

// One branch for the tests of this package: go test runs each package in a process of its own, several beside each other.
func TestMain(m *testing.M) {
	var err error
	if orders, err = New("orders"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err = orders.Remove(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

func open(t *testing.T) *sql.DB {
	db, err := sql.Open("postgres", orders.URL+"?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func count(t *testing.T, db *sql.DB) (n int) {
	if err := db.QueryRow("select count(*) from orders").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMayCommitWhatItLikes(t *testing.T) {
	db := open(t)
	if count(t, db) == 0 {
		t.Fatal("no orders in the image")
	}
	if _, err := db.Exec("truncate orders"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 0 {
		t.Fatalf("%d orders are left", n)
	}
	before := orders.URL
	if err := orders.Reset(); err != nil {
		t.Fatal(err)
	}
	if orders.URL != before {
		t.Fatalf("the URL changed to %s", orders.URL)
	}
}

func TestNextSeesNothingOfIt(t *testing.T) {
	if count(t, open(t)) == 0 {
		t.Fatal("the orders are gone")
	}
}
