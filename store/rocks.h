// SPDX-License-Identifier: Apache-2.0
/* rocks: the functions of RocksDB that the map uses, loaded when a map is first opened (library.h).
 *
 * They are called by their own names; one that is not listed here is not found by the linker. Only
 * kv_rocks.c includes this. */
#pragma once
#include <rocksdb/c.h>

#include "store/error.h"

#define ROCKS_FUNCTIONS(X)                                                                         \
	X(block_based_options_create)                                                              \
	X(block_based_options_destroy)                                                             \
	X(block_based_options_set_block_cache)                                                     \
	X(block_based_options_set_filter_policy)                                                   \
	X(block_based_options_set_whole_key_filtering)                                             \
	X(cache_create_lru)                                                                        \
	X(cache_destroy)                                                                           \
	X(cache_get_usage)                                                                         \
	X(close)                                                                                   \
	X(create_iterator)                                                                         \
	X(filterpolicy_create_bloom_full)                                                          \
	X(free)                                                                                    \
	X(get_options_from_string)                                                                 \
	X(get_pinned)                                                                              \
	X(iter_destroy)                                                                            \
	X(iter_get_error)                                                                          \
	X(iter_key)                                                                                \
	X(iter_next)                                                                               \
	X(iter_seek)                                                                               \
	X(iter_valid)                                                                              \
	X(iter_value)                                                                              \
	X(open)                                                                                    \
	X(options_create)                                                                          \
	X(options_destroy)                                                                         \
	X(options_set_block_based_table_factory)                                                   \
	X(options_set_compression)                                                                 \
	X(options_set_create_if_missing)                                                           \
	X(options_set_error_if_exists)                                                             \
	X(options_set_info_log_level)                                                              \
	X(options_set_keep_log_file_num)                                                           \
	X(options_set_max_open_files)                                                              \
	X(options_set_max_total_wal_size)                                                          \
	X(options_set_memtable_prefix_bloom_size_ratio)                                            \
	X(options_set_prefix_extractor)                                                            \
	X(options_set_write_buffer_size)                                                           \
	X(pinnableslice_destroy)                                                                   \
	X(pinnableslice_value)                                                                     \
	X(property_int)                                                                            \
	X(readoptions_create)                                                                      \
	X(readoptions_destroy)                                                                     \
	X(readoptions_set_iterate_upper_bound)                                                     \
	X(readoptions_set_total_order_seek)                                                        \
	X(slicetransform_create_fixed_prefix)                                                      \
	X(write)                                                                                   \
	X(writebatch_create)                                                                       \
	X(writebatch_delete)                                                                       \
	X(writebatch_destroy)                                                                      \
	X(writebatch_put)                                                                          \
	X(writeoptions_create)                                                                     \
	X(writeoptions_destroy)                                                                    \
	X(writeoptions_set_sync)

#define X(f) __typeof__(rocksdb_##f) *p_##f;
extern struct cow_rocks {
	ROCKS_FUNCTIONS(X)
} cow_rocks;
#undef X

/* Before any of them is called. Errors: as cow_library_load. */
cow_errno cow_rocks_load(struct cow_error *e);

#define rocksdb_block_based_options_create cow_rocks.p_block_based_options_create
#define rocksdb_block_based_options_destroy cow_rocks.p_block_based_options_destroy
#define rocksdb_block_based_options_set_block_cache cow_rocks.p_block_based_options_set_block_cache
#define rocksdb_block_based_options_set_filter_policy                                              \
	cow_rocks.p_block_based_options_set_filter_policy
#define rocksdb_block_based_options_set_whole_key_filtering                                        \
	cow_rocks.p_block_based_options_set_whole_key_filtering
#define rocksdb_cache_create_lru cow_rocks.p_cache_create_lru
#define rocksdb_cache_destroy cow_rocks.p_cache_destroy
#define rocksdb_cache_get_usage cow_rocks.p_cache_get_usage
#define rocksdb_close cow_rocks.p_close
#define rocksdb_create_iterator cow_rocks.p_create_iterator
#define rocksdb_filterpolicy_create_bloom_full cow_rocks.p_filterpolicy_create_bloom_full
#define rocksdb_free cow_rocks.p_free
#define rocksdb_get_options_from_string cow_rocks.p_get_options_from_string
#define rocksdb_get_pinned cow_rocks.p_get_pinned
#define rocksdb_iter_destroy cow_rocks.p_iter_destroy
#define rocksdb_iter_get_error cow_rocks.p_iter_get_error
#define rocksdb_iter_key cow_rocks.p_iter_key
#define rocksdb_iter_next cow_rocks.p_iter_next
#define rocksdb_iter_seek cow_rocks.p_iter_seek
#define rocksdb_iter_valid cow_rocks.p_iter_valid
#define rocksdb_iter_value cow_rocks.p_iter_value
#define rocksdb_open cow_rocks.p_open
#define rocksdb_options_create cow_rocks.p_options_create
#define rocksdb_options_destroy cow_rocks.p_options_destroy
#define rocksdb_options_set_block_based_table_factory                                              \
	cow_rocks.p_options_set_block_based_table_factory
#define rocksdb_options_set_compression cow_rocks.p_options_set_compression
#define rocksdb_options_set_create_if_missing cow_rocks.p_options_set_create_if_missing
#define rocksdb_options_set_error_if_exists cow_rocks.p_options_set_error_if_exists
#define rocksdb_options_set_info_log_level cow_rocks.p_options_set_info_log_level
#define rocksdb_options_set_keep_log_file_num cow_rocks.p_options_set_keep_log_file_num
#define rocksdb_options_set_max_open_files cow_rocks.p_options_set_max_open_files
#define rocksdb_options_set_max_total_wal_size cow_rocks.p_options_set_max_total_wal_size
#define rocksdb_options_set_memtable_prefix_bloom_size_ratio                                       \
	cow_rocks.p_options_set_memtable_prefix_bloom_size_ratio
#define rocksdb_options_set_prefix_extractor cow_rocks.p_options_set_prefix_extractor
#define rocksdb_options_set_write_buffer_size cow_rocks.p_options_set_write_buffer_size
#define rocksdb_pinnableslice_destroy cow_rocks.p_pinnableslice_destroy
#define rocksdb_pinnableslice_value cow_rocks.p_pinnableslice_value
#define rocksdb_property_int cow_rocks.p_property_int
#define rocksdb_readoptions_create cow_rocks.p_readoptions_create
#define rocksdb_readoptions_destroy cow_rocks.p_readoptions_destroy
#define rocksdb_readoptions_set_iterate_upper_bound cow_rocks.p_readoptions_set_iterate_upper_bound
#define rocksdb_readoptions_set_total_order_seek cow_rocks.p_readoptions_set_total_order_seek
#define rocksdb_slicetransform_create_fixed_prefix cow_rocks.p_slicetransform_create_fixed_prefix
#define rocksdb_write cow_rocks.p_write
#define rocksdb_writebatch_create cow_rocks.p_writebatch_create
#define rocksdb_writebatch_delete cow_rocks.p_writebatch_delete
#define rocksdb_writebatch_destroy cow_rocks.p_writebatch_destroy
#define rocksdb_writebatch_put cow_rocks.p_writebatch_put
#define rocksdb_writeoptions_create cow_rocks.p_writeoptions_create
#define rocksdb_writeoptions_destroy cow_rocks.p_writeoptions_destroy
#define rocksdb_writeoptions_set_sync cow_rocks.p_writeoptions_set_sync
