// SPDX-License-Identifier: Apache-2.0

// Package branch gives the tests of a package a database of their own: a branch, in TestMain, and one as new for a test that commits.
// COWFS_POOL names a pool (cowfs pool create ci --from golden) whose branches run already; without one COWFS_PARENT is
// what it is made from (default: golden). They expire by themselves if a run is killed.
package branch

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// A Branch and its URL, which a reset does not change.
type Branch struct{ Name, URL string }

func cowfs(words ...string) (string, error) {
	c := exec.Command("cowfs", words...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("cowfs %s: %w", strings.Join(words, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// New makes a branch for a package, whose name is part of its own.
func New(name string) (*Branch, error) {
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	b := &Branch{Name: "test/" + name + "-" + hex.EncodeToString(random)}
	from := []string{"--ephemeral", "--parent=" + env("COWFS_PARENT", "golden")}
	if pool := os.Getenv("COWFS_POOL"); pool != "" {
		from = []string{"--from-pool=" + pool}
	}
	if _, err := cowfs(append(append([]string{"branch", "create", "--ttl=1h"}, from...), "--", b.Name)...); err != nil {
		return nil, err
	}
	return b, b.start()
}

func (b *Branch) start() (err error) {
	if _, err = cowfs("start", "--", b.Name); err == nil {
		b.URL, err = cowfs("url", "--dbname="+env("COWFS_DATABASE", "postgres"), "--", b.Name)
	}
	return err
}

// Reset makes it as it was at first. Connections to it end.
func (b *Branch) Reset() error {
	if _, err := cowfs("stop", "-m", "immediate", "--", b.Name); err != nil {
		return err
	}
	if _, err := cowfs("branch", "reset", "--yes", "--", b.Name); err != nil {
		return err
	}
	return b.start()
}

// Remove deletes it.
func (b *Branch) Remove() error {
	if _, err := cowfs("stop", "-m", "immediate", "--", b.Name); err != nil {
		return err
	}
	_, err := cowfs("branch", "delete", "--yes", "--", b.Name)
	return err
}
