/* Page-table switches: four address spaces map the same 64 pages differently; every page is touched after each switch. */
#include "../runtime.h"

const char row_name[] = "paging";

enum { SPACES = 4, PAGES = 64, WINDOW = 0x800000, PHYSICAL = 0x1000000, ROUNDS = 50000, PRESENT_WRITABLE = 3 };
enum { ENTRIES = 4096 / sizeof(long), IDENTITY = 0x800000 / 4096 / ENTRIES, TABLE_SPAN = ENTRIES * 4096 };

static unsigned long directories[SPACES][ENTRIES] __attribute__((aligned(4096)));
static unsigned long identity[IDENTITY][ENTRIES] __attribute__((aligned(4096)));	/* the first 8 MiB, the same everywhere */
static unsigned long windows[SPACES][ENTRIES] __attribute__((aligned(4096)));

static inline void load_cr3(const void *table)
{
	asm volatile("mov %0, %%cr3" : : "r"(table) : "memory");
}

#ifdef __x86_64__
static unsigned long upper[SPACES][2][ENTRIES] __attribute__((aligned(4096)));

static const void *root(unsigned space)
{
	upper[space][1][0] = (unsigned long)directories[space] | PRESENT_WRITABLE;
	upper[space][0][0] = (unsigned long)upper[space][1] | PRESENT_WRITABLE;
	return upper[space];
}

static void start_paging(void)
{
}
#else
static const void *root(unsigned space)
{
	return directories[space];
}

static void start_paging(void)
{
	asm volatile("movl %%cr0, %%eax; orl $0x80000000, %%eax; movl %%eax, %%cr0" : : : "eax", "memory");
}
#endif

unsigned row(void)
{
	unsigned checksum = 0;
	const void *roots[SPACES];

	for (unsigned i = 0; i < IDENTITY * ENTRIES; i++)
		identity[i / ENTRIES][i % ENTRIES] = i << 12 | PRESENT_WRITABLE;
	for (unsigned space = 0; space < SPACES; space++) {
		for (unsigned n = 0; n < IDENTITY; n++)
			directories[space][n] = (unsigned long)identity[n] | PRESENT_WRITABLE;
		directories[space][WINDOW / TABLE_SPAN] = (unsigned long)windows[space] | PRESENT_WRITABLE;
		for (unsigned page = 0; page < PAGES; page++)
			windows[space][page] = (PHYSICAL + ((space * PAGES + page) << 12)) | PRESENT_WRITABLE;
		roots[space] = root(space);
	}
	for (unsigned i = 0; i < SPACES * PAGES; i++)
		*(volatile unsigned *)(PHYSICAL + (unsigned long)(i << 12)) = 0;
	load_cr3(roots[0]);
	start_paging();
	for (unsigned round = 0; round < ROUNDS; round++) {
		load_cr3(roots[round % SPACES]);
		for (unsigned page = 0; page < PAGES; page++) {
			volatile unsigned *word = (volatile unsigned *)(WINDOW + (unsigned long)(page << 12));
			checksum += *word;
			*word = checksum ^ round;
		}
	}
	return checksum;
}
