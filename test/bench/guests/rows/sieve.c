/* Sieve of Eratosthenes over 1 MiB of bytes. */
#include "../runtime.h"

const char row_name[] = "sieve";

enum { LIMIT = 1 << 20, ROUNDS = 50 };
static unsigned char composite[LIMIT];

unsigned row(void)
{
	unsigned checksum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < LIMIT; i++)
			composite[i] = 0;
		for (unsigned i = 2; i * i < LIMIT; i++)
			if (!composite[i])
				for (unsigned j = i * i; j < LIMIT; j += i)
					composite[j] = 1;
		for (unsigned i = 2; i < LIMIT; i++)
			checksum += !composite[i];
	}
	return checksum;
}
