// SPDX-License-Identifier: Apache-2.0
/* pq: the functions of libpq that cowfs uses, loaded when a server is first talked to (library.h).
 *
 * They are called by their own names; one that is not listed here is not found by the linker. Only
 * the files of the libpq fence include this (pg_impl.h). */
#pragma once
#include <libpq-fe.h>

#include "store/error.h"

#define PQ_FUNCTIONS(X)                                                                            \
	X(clear)                                                                                   \
	X(cmdTuples)                                                                               \
	X(connectdbParams)                                                                         \
	X(encryptPasswordConn)                                                                     \
	X(errorMessage)                                                                            \
	X(escapeIdentifier)                                                                        \
	X(escapeLiteral)                                                                           \
	X(exec)                                                                                    \
	X(execParams)                                                                              \
	X(finish)                                                                                  \
	X(freemem)                                                                                 \
	X(getCopyData)                                                                             \
	X(getResult)                                                                               \
	X(getisnull)                                                                               \
	X(getvalue)                                                                                \
	X(nfields)                                                                                 \
	X(ntuples)                                                                                 \
	X(pingParams)                                                                              \
	X(putCopyData)                                                                             \
	X(putCopyEnd)                                                                              \
	X(resultErrorField)                                                                        \
	X(resultErrorMessage)                                                                      \
	X(resultStatus)                                                                            \
	X(sendQuery)                                                                               \
	X(serverVersion)                                                                           \
	X(setErrorVerbosity)                                                                       \
	X(setNoticeReceiver)                                                                       \
	X(status)

#define X(f) __typeof__(PQ##f) *p_##f;
extern struct cow_pq {
	PQ_FUNCTIONS(X)
} cow_pq;
#undef X

/* Before a connection is made; whoever has one may call them. Errors: as cow_library_load. */
cow_errno cow_pq_load(struct cow_error *e);

#define PQclear cow_pq.p_clear
#define PQcmdTuples cow_pq.p_cmdTuples
#define PQconnectdbParams cow_pq.p_connectdbParams
#define PQencryptPasswordConn cow_pq.p_encryptPasswordConn
#define PQerrorMessage cow_pq.p_errorMessage
#define PQescapeIdentifier cow_pq.p_escapeIdentifier
#define PQescapeLiteral cow_pq.p_escapeLiteral
#define PQexec cow_pq.p_exec
#define PQexecParams cow_pq.p_execParams
#define PQfinish cow_pq.p_finish
#define PQfreemem cow_pq.p_freemem
#define PQgetCopyData cow_pq.p_getCopyData
#define PQgetResult cow_pq.p_getResult
#define PQgetisnull cow_pq.p_getisnull
#define PQgetvalue cow_pq.p_getvalue
#define PQnfields cow_pq.p_nfields
#define PQntuples cow_pq.p_ntuples
#define PQpingParams cow_pq.p_pingParams
#define PQputCopyData cow_pq.p_putCopyData
#define PQputCopyEnd cow_pq.p_putCopyEnd
#define PQresultErrorField cow_pq.p_resultErrorField
#define PQresultErrorMessage cow_pq.p_resultErrorMessage
#define PQresultStatus cow_pq.p_resultStatus
#define PQsendQuery cow_pq.p_sendQuery
#define PQserverVersion cow_pq.p_serverVersion
#define PQsetErrorVerbosity cow_pq.p_setErrorVerbosity
#define PQsetNoticeReceiver cow_pq.p_setNoticeReceiver
#define PQstatus cow_pq.p_status
