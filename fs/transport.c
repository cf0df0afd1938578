// SPDX-License-Identifier: Apache-2.0
/* transport: the choice, and the loop of each. */
#include "fs/transport.h"

#include <errno.h>
#include <stdlib.h>

#include "store/log.h"

enum { THREADS = 10, PAGE = 4096 };

cow_errno cow_transport_choose(enum cow_transport asked, enum cow_transport *ret,
			       struct cow_error *e)
{
	if (asked == COW_TRANSPORT_URING) {
		cow_fail(e, -ENOTSUP, "libfuse %s cannot speak over io_uring", fuse_pkgversion());
		return cow_hint(e, -ENOTSUP,
				"Build with COWFS_FUSE=bundled, or use the classic transport.");
	}
	*ret = COW_TRANSPORT_CLASSIC;
	return 0;
}

const char *cow_transport_options(const struct cow_mount *m)
{
	return "";
}

void cow_transport_init(struct cow_mount *m, struct fuse_conn_info *conn)
{
	m->transport = COW_TRANSPORT_CLASSIC;
}

cow_errno cow_transport_read_buffer(struct cow_mount *m, fuse_req_t req, size_t size, char **ret)
{
	void *buf = pthread_getspecific(m->scratch);

	if (!buf) {
		buf = aligned_alloc(PAGE, COW_READ_MAX);
		if (!buf)
			return -ENOMEM;
		pthread_setspecific(m->scratch, buf);
	}
	*ret = buf;
	return 0;
}

cow_errno cow_transport_loop(struct cow_mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned threads = m->threads ? m->threads : THREADS;
	int r;

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	r = fuse_session_loop_mt(m->se, config);
	fuse_loop_cfg_destroy(config);
	return r < 0 ? r : 0;
}
