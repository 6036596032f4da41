/* One instruction run by the processor itself, in a 32-bit code segment of this 64-bit process. */
#ifndef MACHINE_H
#define MACHINE_H

#include "layout.h"

enum { MAX_PATCHES = 12, NO_FAULT = 0xff };
enum segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

struct patch {
	uint16_t addr;
	uint8_t length;
	uint8_t bytes[64];
};

struct test_case {
	uint8_t bytes[24];	/* the instruction; INT3 follows */
	unsigned length;
	uint32_t eip;
	uint32_t regs[8];
	uint32_t eflags;
	unsigned patch_count;	/* memory that differs from the pattern */
	struct patch patches[MAX_PATCHES];
	int is_breakpoint;	/* the instruction itself raises #BP */
};

struct outcome {
	uint32_t regs[8];
	uint32_t eflags;	/* user bits: CF PF AF ZF SF TF IF DF OF NT AC ID */
	uint32_t eip;
	uint16_t segments[6];
	uint8_t vector;		/* NO_FAULT, or the exception */
	uint32_t error_code;
	uint32_t address;	/* CR2 of a page fault */
	uint8_t data[2 * PAGE];	/* DATA_START.. afterwards */
};

void machine_init(void);

/* The byte at addr before the case runs. */
uint8_t memory_before(const struct test_case *c, uint32_t addr);

void run_case(const struct test_case *c, struct outcome *out);

#endif
