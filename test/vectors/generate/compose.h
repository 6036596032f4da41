/* Turns a form into a case: operands, addresses, prefixes, and memory that makes them meaningful. */
#ifndef COMPOSE_H
#define COMPOSE_H

#include "forms.h"
#include "machine.h"

struct request {
	uint32_t seed, index;	/* select the initial registers and flags */
	int word;		/* 16-bit operands */
	int memory;		/* memory operand, where the form has a choice */
	int illegal_lock;	/* LOCK where it is not allowed */
	unsigned pad_to;	/* repeat a prefix until the instruction has this length; 0: do not */
	int straddle;		/* let the instruction run over the end of the code page */
};

int has_modrm(const struct form *form);

/* Fills *c. The same seed and index yield the same case. */
void compose(const struct form *form, const struct request *request, struct test_case *c);

#endif
