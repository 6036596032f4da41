/* Memory sum with a carry chain: 96-bit additions over 64 KiB. */
#include "../runtime.h"

const char row_name[] = "sum";

enum { WORDS = 16384, ROUNDS = 9000 };
static unsigned words[WORDS];

unsigned row(void)
{
	unsigned low = 0, high = 0, top = 0, state = 1;

	for (int i = 0; i < WORDS; i++)
		words[i] = next_number(&state);
	for (int round = 0; round < ROUNDS; round++) {
		const unsigned *p = words, *end = words + WORDS;
		asm volatile("1:\n\t"
			     "addl (%0), %1\n\t"
			     "adcl 4(%0), %2\n\t"
			     "adcl $0, %3\n\t"
			     "add $8, %0\n\t"
			     "cmp %4, %0\n\t"
			     "jne 1b"
			     : "+r"(p), "+r"(low), "+r"(high), "+r"(top)
			     : "r"(end)
			     : "cc", "memory");
	}
	return low ^ high ^ top;
}
