// SPDX-License-Identifier: Apache-2.0
#include "tools/serve/steer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/cleanup.h"

#define PORTS_MAX 16384u

struct serve_steer {
	int table, times, program, link;
};

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

/* --- the program --- */

#define INSN(c, d, s, o, i)                                                                        \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}
#define COPY(to, from) INSN(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define NUMBER(to, n) INSN(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, n)
#define ADD(to, n) INSN(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, n)
#define FIELD(to, from, name)                                                                      \
	INSN(BPF_LDX | BPF_MEM | BPF_W, to, from, offsetof(struct bpf_sk_lookup, name), 0)
#define STORE(to, at, from) INSN(BPF_STX | BPF_MEM | BPF_W, to, from, at, 0)
#define UNLESS(reg, n, skip) INSN(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, skip, (int32_t)(n))
#define IF_NULL(reg, skip) INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, skip, 0)
#define CALL(number) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, number)

/* The socket of the table, and the time is noted, if there is one for this port; in any case the
 * connection is let through. The skips lead to the last two instructions. */
static int load_program(int table, int times)
{
	const int32_t here = (int32_t)htonl(INADDR_LOOPBACK);
	const struct bpf_insn code[] = {
	    COPY(6, 1),
	    FIELD(2, 6, family),
	    UNLESS(2, AF_INET, 30),
	    FIELD(2, 6, protocol),
	    UNLESS(2, IPPROTO_TCP, 28),
	    FIELD(2, 6, remote_ip4),
	    UNLESS(2, here, 26),
	    FIELD(2, 6, local_ip4),
	    UNLESS(2, here, 24),
	    FIELD(2, 6, local_port),
	    STORE(10, -4, 2),
	    INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, table),
	    INSN(0, 0, 0, 0, 0),
	    COPY(2, 10),
	    ADD(2, -4),
	    CALL(BPF_FUNC_map_lookup_elem),
	    IF_NULL(0, 16),
	    COPY(7, 0),
	    INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, times),
	    INSN(0, 0, 0, 0, 0),
	    COPY(2, 10),
	    ADD(2, -4),
	    CALL(BPF_FUNC_map_lookup_elem),
	    IF_NULL(0, 3),
	    COPY(8, 0),
	    CALL(BPF_FUNC_ktime_get_ns),
	    INSN(BPF_STX | BPF_MEM | BPF_DW, 8, 0, 0, 0),
	    COPY(1, 6),
	    COPY(2, 7),
	    NUMBER(3, 0),
	    CALL(BPF_FUNC_sk_assign),
	    COPY(1, 7),
	    CALL(BPF_FUNC_sk_release),
	    NUMBER(0, SK_PASS),
	    INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = {
	    .prog_type = BPF_PROG_TYPE_SK_LOOKUP,
	    .expected_attach_type = BPF_SK_LOOKUP,
	    .insns = (uintptr_t)code,
	    .insn_cnt = sizeof(code) / sizeof(code[0]),
	    .license = (uintptr_t) "Apache-2.0",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int make_map(enum bpf_map_type type, uint32_t entries)
{
	union bpf_attr attr = {
	    .map_type = type,
	    .key_size = sizeof(uint32_t),
	    .value_size = sizeof(uint64_t),
	    .max_entries = entries,
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

static int attach(int program)
{
	CLEANUP_FD int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	union bpf_attr attr = {
	    .link_create = {.prog_fd = (uint32_t)program,
			    .target_fd = (uint32_t)net,
			    .attach_type = BPF_SK_LOOKUP},
	};

	return net < 0 ? -errno : bpf(BPF_LINK_CREATE, &attr);
}

/* --- coming and going --- */

struct serve_steer *serve_steer_open(struct cow_error *e)
{
	struct serve_steer *st = calloc(1, sizeof(*st));
	int r;

	if (!st) {
		cow_fail(e, -ENOMEM, "no memory");
		return NULL;
	}
	*st = (struct serve_steer){-1, -1, -1, -1};
	r = st->table = make_map(BPF_MAP_TYPE_SOCKHASH, PORTS_MAX);
	if (r >= 0)
		r = st->times = make_map(BPF_MAP_TYPE_ARRAY, UINT16_MAX + 1);
	if (r >= 0)
		r = st->program = load_program(st->table, st->times);
	if (r >= 0)
		r = st->link = attach(st->program);
	if (r >= 0)
		return st;
	serve_steer_close(st);
	cow_fail(e, r, "the kernel does not steer connections (BPF, type sk_lookup): %s",
		 strerror(-r));
	return NULL;
}

void serve_steer_close(struct serve_steer *st)
{
	if (!st)
		return;
	if (st->link >= 0)
		close(st->link);
	if (st->program >= 0)
		close(st->program);
	if (st->table >= 0)
		close(st->table);
	if (st->times >= 0)
		close(st->times);
	free(st);
}

cow_errno serve_steer_set(struct serve_steer *st, int port, int fd)
{
	const uint32_t key = (uint32_t)port;
	const uint64_t value = (uint64_t)fd;
	union bpf_attr attr = {
	    .map_fd = (uint32_t)st->table,
	    .key = (uintptr_t)&key,
	    .value = (uintptr_t)&value,
	};
	int r = bpf(BPF_MAP_UPDATE_ELEM, &attr);

	return r < 0 ? r : 0;
}

void serve_steer_clear(struct serve_steer *st, int port)
{
	const uint32_t key = (uint32_t)port;
	union bpf_attr attr = {.map_fd = (uint32_t)st->table, .key = (uintptr_t)&key};

	bpf(BPF_MAP_DELETE_ELEM, &attr);
}

uint64_t serve_steer_last(const struct serve_steer *st, int port)
{
	const uint32_t key = (uint32_t)port;
	uint64_t ns = 0;
	union bpf_attr attr = {
	    .map_fd = (uint32_t)st->times,
	    .key = (uintptr_t)&key,
	    .value = (uintptr_t)&ns,
	};

	return bpf(BPF_MAP_LOOKUP_ELEM, &attr) < 0 ? 0 : ns / 1000000;
}
