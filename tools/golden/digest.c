// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <openssl/evp.h>

struct digest {
	EVP_MD_CTX *ctx;
	bool failed;
};

struct digest *digest_new(void)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->ctx = EVP_MD_CTX_new();
	d->failed = !d->ctx || !EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL);
	return d;
}

void digest_add(struct digest *d, const void *bytes, size_t len)
{
	if (d && !d->failed)
		d->failed = !EVP_DigestUpdate(d->ctx, bytes, len);
}

bool digest_end(struct digest *d, char ret[DIGEST_TEXT])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	bool ok = d && !d->failed && EVP_DigestFinal_ex(d->ctx, sum, NULL);

	ret[0] = '\0';
	for (size_t k = 0; ok && k < (DIGEST_TEXT - 1) / 2; k++)
		snprintf(ret + 2 * k, 3, "%02x", sum[k]);
	if (d)
		EVP_MD_CTX_free(d->ctx);
	free(d);
	return ok;
}

cow_errno digest_random(size_t n, char *ret)
{
	unsigned char byte;

	for (size_t k = 0; k < n; k++) {
		if (getrandom(&byte, 1, 0) != 1)
			return -EIO;
		snprintf(ret + 2 * k, 3, "%02x", byte);
	}
	return 0;
}
