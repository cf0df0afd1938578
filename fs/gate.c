// SPDX-License-Identifier: Apache-2.0
/* gate: the book of who passed, and the words to the kernel. */
#include "fs/gate.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/held.h"
#include "fs/later.h"
#include "store/cleanup.h"

/* What passes while the gate is narrow: into each file, and of each process beside that. A trial is
 * more than the kernel may have dirty, so that by its end most of it was written back, and what it
 * took is known; others may have taken it, so there are some. Processes whose numbers are alike
 * share theirs. */
enum { TRIAL = 64, TRIALS = 3, GROWN = TRIAL / 4, PIDS = 4096 };
#define FILE_TAKES ((uint64_t)TRIAL / 2 * COW_BLOCK)

struct trial {
	uint32_t gating;   /* that it belongs to: cow_gate_book.gating */
	uint16_t left;     /* writes before it is over */
	uint16_t failed;   /* trials in which room shrank */
	uint64_t accepted; /* cow_store_accepted when it began */
};

struct cow_gate_book {
	atomic_bool closed;     /* the kernel asks, or is just told to */
	atomic_bool told;       /* it knows of every file that was open for writing then */
	pthread_mutex_t follow; /* who moves it; before all other locks of fs/ */
	pthread_mutex_t lock;   /* a leaf; all below */
	uint32_t gating;        /* how often it was closed */
	struct trial trials[PIDS];
};

cow_errno cow_gate_new(struct cow_gate_book **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	pthread_mutex_init(&(*ret)->follow, NULL);
	pthread_mutex_init(&(*ret)->lock, NULL);
	return 0;
}

void cow_gate_free(struct cow_gate_book *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->follow);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* Forgetting attributes takes no lock of the inode and waits for nobody. ENOENT: it is unknown. */
static void forget(struct cow_mount *m, uint64_t id)
{
	fuse_lowlevel_notify_inval_inode(m->se, id, -1, 0);
}

static void close_for(uint64_t id, void *arg)
{
	struct cow_mount *m = arg;
	struct cow_node node = {0};

	if (cow_node_get(m->nodes, id, &node) == 0 && node.inode && node.writers &&
	    cow_policy_for(node.kind).cached)
		forget(m, id);
	cow_node_put(&node);
}

void cow_gate_tell(struct cow_mount *m, uint64_t id)
{
	if (m->gate->closed)
		close_for(id, m);
}

/* lock of `follow` held */
static void close_gate(struct cow_mount *m)
{
	if (!m->gate->closed) {
		WITH_LOCK(&m->gate->lock);

		m->gate->gating++;
	}
	m->gate->closed = true; /* before the look at who writes: an open meanwhile sees it */
	m->gate->told = cow_nodes_each_writer(m->nodes, close_for, m) == 0; /* or once more */
}

void cow_gate_follow(struct cow_mount *m)
{
	WITH_LOCK(&m->gate->follow);

	if (cow_store_gate(m->store) == COW_GATE_OPEN)
		m->gate->closed = m->gate->told = false;
	else if (!m->gate->told)
		close_gate(m);
}

void cow_gate_wrote(struct cow_mount *m, uint64_t id)
{
	if (cow_store_gate(m->store) != COW_GATE_OPEN && !m->gate->told)
		cow_gate_follow(m);
	cow_gate_tell(m, id);
}

/* Another write of a process whose writes took room, or may have. */
static bool tries(struct cow_mount *m, pid_t pid)
{
	struct cow_gate_book *g = m->gate;
	uint64_t accepted = cow_store_accepted(m->store);
	struct trial *t = &g->trials[(unsigned)pid % PIDS];
	WITH_LOCK(&g->lock);

	if (t->gating != g->gating)
		*t = (struct trial){.gating = g->gating, .left = TRIAL, .accepted = accepted};
	if (t->left == 0 && t->failed < TRIALS) {
		t->failed += accepted - t->accepted > GROWN * COW_BLOCK;
		t->left = t->failed < TRIALS ? TRIAL : 0;
		t->accepted = accepted;
	}
	if (t->left == 0)
		return false;
	t->left--;
	return true;
}

static bool passes(struct cow_mount *m, const struct cow_node *node, pid_t pid)
{
	switch (cow_store_gate(m->store)) {
	case COW_GATE_OPEN:
		return true;
	case COW_GATE_NARROW:
		return cow_policy_for(node->kind).urgent ||
		       cow_file_taken(node->inode) < FILE_TAKES || tries(m, pid);
	default:
		return false;
	}
}

/* Room may have come back, but for a moment too little: a write of the map takes some and returns
 * it. */
static bool is_due(struct cow_job *j)
{
	enum cow_gate gate = cow_store_gate(j->m->store);

	return gate == COW_GATE_OPEN ||
	       (gate == COW_GATE_NARROW && (j->urgent || cow_file_taken(j->inode) < FILE_TAKES)) ||
	       cow_file_waits(j->inode) < 0;
}

/* Once he has waited he passes, even if the gate is closing again. */
static void work(struct cow_job *j)
{
	if (j->result != -EINTR && !cow_live_stale(cow_inode_live(j->inode)) &&
	    cow_store_gate(j->m->store) != COW_GATE_OPEN)
		j->result = cow_file_waits(j->inode);
}

static void answer(struct cow_job *j)
{
	const struct cow_node node = {.id = j->ino, .inode = j->inode};

	if (j->result < 0)
		cow_reply(j->req, j->result);
	else
		cow_reply_attr(j->m, j->req, &node);
}

cow_errno cow_gate_ask(struct cow_mount *m, fuse_req_t req, const struct cow_node *node,
		       unsigned fh)
{
	struct cow_job *j;
	cow_errno r;

	if (!m->gate->closed || !node->inode || !(fh & COW_FH_WRITER) || (fh & COW_FH_DIRECT) ||
	    passes(m, node, fuse_req_ctx(req)->pid))
		return 0;
	if (cow_live_stale(cow_inode_live(node->inode)))
		return 0; /* the answer says so */
	if ((r = cow_file_waits(node->inode)) < 0)
		return r;
	if (!(j = cow_job_new(req, node->inode)))
		return -ENOMEM;
	j->m = m;
	j->ino = node->id;
	j->pid = fuse_req_ctx(req)->pid;
	j->urgent = cow_policy_for(node->kind).urgent;
	j->work = work;
	j->answer = answer;
	j->due = is_due;
	cow_held_add(m->held, j);
	return -EINPROGRESS;
}
