// SPDX-License-Identifier: Apache-2.0
/* bdi: the mount's backing device in /sys/class/bdi, where the kernel's limits for it stand. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Path of the file `what` of the mount that lies on top at this place. False = there is none.
 * Makes no path call on the mount itself. */
bool cow_bdi_path(const char *mountpoint, const char *what, char *ret, size_t size);

/* Let the kernel read ahead as far as one request goes, unless it reads further already. Needs
 * root; without it the kernel's default stays (128 KiB). */
void cow_bdi_read_ahead(const char *mountpoint, unsigned kib);
