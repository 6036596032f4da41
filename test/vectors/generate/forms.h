/* Which instructions there are: one line per form, in the manual's notation. */
#ifndef FORMS_H
#define FORMS_H

/* What the operands need so that the case means something. */
enum kind {
	PLAIN,
	ACCUMULATOR_MATCH,	/* CMPXCHG: memory often equals the accumulator */
	BIT_OFFSET,		/* a register bit offset reaches beyond the operand */
	BOUND_PAIR,
	BRANCH,			/* relative */
	CL_COUNT,
	DIVIDE,
	ENTER,
	FAR_DIRECT,
	FAR_INDIRECT,		/* m16:16 or m16:32 with a code selector */
	FAR_LOAD,		/* m16:16 or m16:32 with a data selector */
	FAR_RETURN,
	FLAGS_ON_STACK,
	INTERRUPT_RETURN,
	LEAVE,
	LOOP_COUNT,
	MATCH_EDX_EAX,
	MOFFS,
	NEAR_INDIRECT,
	NEAR_RETURN,
	POP_SELECTOR,
	SELECTOR,		/* r/m16 is a selector to be looked at */
	SEGMENT_LOAD,		/* r/m16 is a selector to be loaded into the segment register of the encoding */
	STACK,
	STRING,
	XLAT_TABLE,
	BREAKPOINT,
};

enum {
	LOCKABLE = 1,		/* LOCK is allowed with a memory destination */
	MEMORY_ONLY = 2,
	REGISTER_ONLY = 4,
	LOCKED = 8,		/* locks the bus without a prefix: kept from crossing cache lines */
	NO_REPEAT = 16,		/* F2 and F3 would select another instruction on newer processors */
	WORD_FORM = 32,		/* 66 matters although neither r/m nor an immediate changes its size */
	READS_NOTHING = 64,	/* memory operand is not accessed */
	REPEATABLE = 128,	/* F2 and F3 mean something */
};

struct form {
	const char *family;	/* the file the cases go to */
	const char *encoding;	/* "81 /0 iz", "0f c8+r"; see compose.c */
	char size;		/* of the r/m operand: b w v(2 or 4) d q; a: two of v; p: far pointer; 0: none */
	enum kind kind;
	int flags;
	int weight;		/* in percent of the usual number of cases */
};

extern const struct form forms[];
extern const unsigned form_count;

#endif
