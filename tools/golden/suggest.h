// SPDX-License-Identifier: Apache-2.0
/* suggest: what a value looks like. Pure; private to suggest.c and its test. */
#pragma once
#include <stdbool.h>

bool suggest_is_email(const char *v);
bool suggest_is_phone(const char *v);
bool suggest_is_card(const char *v); /* with a valid check digit */
bool suggest_is_iban(const char *v); /* with valid check digits */
