/* Recursive quicksort of 256 Ki words. */
#include "../runtime.h"

const char row_name[] = "qsort";

enum { WORDS = 1 << 18, ROUNDS = 12 };
static int words[WORDS];

static void sort(int *from, int *to)
{
	while (from < to) {
		int pivot = from[(to - from) >> 1], *i = from, *j = to;
		do {
			while (*i < pivot)
				i++;
			while (*j > pivot)
				j--;
			if (i <= j) {
				int other = *i;
				*i++ = *j;
				*j-- = other;
			}
		} while (i <= j);
		if (j - from < to - i) {
			sort(from, j);
			from = i;
		} else {
			sort(i, to);
			to = j;
		}
	}
}

unsigned row(void)
{
	unsigned checksum = 0, state = 3;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < WORDS; i++)
			words[i] = next_number(&state);
		sort(words, words + WORDS - 1);
		for (int i = 1; i < WORDS; i++) {
			checksum += words[i - 1] <= words[i];
			checksum = checksum * 31 + words[i];
		}
	}
	return checksum;
}
