/* Page-table switches: four address spaces map the same 64 pages differently; every page is touched after each switch. */
#include "../runtime.h"

const char row_name[] = "paging";

enum { SPACES = 4, PAGES = 64, WINDOW = 0x800000, PHYSICAL = 0x1000000, ROUNDS = 50000, PRESENT_WRITABLE = 3 };

static unsigned directories[SPACES][1024] __attribute__((aligned(4096)));
static unsigned identity[2][1024] __attribute__((aligned(4096)));	/* the first 8 MiB, the same everywhere */
static unsigned windows[SPACES][1024] __attribute__((aligned(4096)));

static inline void load_cr3(const void *directory)
{
	asm volatile("movl %0, %%cr3" : : "r"(directory) : "memory");
}

unsigned row(void)
{
	unsigned checksum = 0;

	for (unsigned i = 0; i < 2048; i++)
		identity[i / 1024][i % 1024] = i << 12 | PRESENT_WRITABLE;
	for (unsigned space = 0; space < SPACES; space++) {
		directories[space][0] = (unsigned)identity[0] | PRESENT_WRITABLE;
		directories[space][1] = (unsigned)identity[1] | PRESENT_WRITABLE;
		directories[space][WINDOW >> 22] = (unsigned)windows[space] | PRESENT_WRITABLE;
		for (unsigned page = 0; page < PAGES; page++)
			windows[space][page] = (PHYSICAL + ((space * PAGES + page) << 12)) | PRESENT_WRITABLE;
	}
	for (unsigned i = 0; i < SPACES * PAGES; i++)
		*(volatile unsigned *)(PHYSICAL + (i << 12)) = 0;
	load_cr3(directories[0]);
	asm volatile("movl %%cr0, %%eax; orl $0x80000000, %%eax; movl %%eax, %%cr0" : : : "eax", "memory");
	for (unsigned round = 0; round < ROUNDS; round++) {
		load_cr3(directories[round % SPACES]);
		for (unsigned page = 0; page < PAGES; page++) {
			volatile unsigned *word = (volatile unsigned *)(WINDOW + (page << 12));
			checksum += *word;
			*word = checksum ^ round;
		}
	}
	return checksum;
}
