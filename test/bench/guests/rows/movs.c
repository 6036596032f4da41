/* REP MOVSD of 128 KiB, REP STOSD of 64 KiB, and short REP MOVSB as strings are copied. */
#include "../runtime.h"

const char row_name[] = "movs";

enum { WORDS = 32768 };
static unsigned from[WORDS], to[WORDS];

static void copy_words(void *d, const void *s, unsigned long count)
{
	asm volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
}

static void copy_bytes(void *d, const void *s, unsigned long count)
{
	asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
}

static void fill_words(void *d, unsigned value, unsigned long count)
{
	asm volatile("rep stosl" : "+D"(d), "+c"(count) : "a"(value) : "memory");
}

unsigned row(void)
{
	unsigned checksum = 0, state = 11;

	for (int i = 0; i < WORDS; i++)
		from[i] = next_number(&state);
	for (unsigned round = 0; round < 3000; round++) {
		copy_words(to, from, WORDS);
		checksum = checksum * 33 + to[round % WORDS];
		fill_words(to, round, WORDS / 2);
		for (int i = 0; i < 64; i++)
			copy_bytes((char *)to + i * 41, (char *)from + round + i * 37, 23);
		checksum = checksum * 33 + to[round];
	}
	return checksum;
}
