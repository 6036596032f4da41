/* Product of two matrices of doubles, two at a time (SSE2). */
#include "../runtime.h"

const char row_name[] = "matrix";

enum { SIZE = 128, ROUNDS = 40 };
typedef double pair __attribute__((vector_size(16)));
static double a[SIZE][SIZE] __attribute__((aligned(16)));
static pair b[SIZE][SIZE / 2], c[SIZE][SIZE / 2];

unsigned row(void)
{
	unsigned checksum = 0, state = 13;

	for (int i = 0; i < SIZE; i++) {
		for (int j = 0; j < SIZE; j++)
			a[i][j] = (int)next_number(&state) / 65536.0;
		for (int j = 0; j < SIZE / 2; j++)
			b[i][j] = (pair){ (int)next_number(&state) / 3.0, (int)next_number(&state) / 7.0 };
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < SIZE; i++) {
			for (int j = 0; j < SIZE / 2; j++)
				c[i][j] = (pair){ 0, 0 };
			for (int k = 0; k < SIZE; k++) {
				pair factor = { a[i][k], a[i][k] };
				for (int j = 0; j < SIZE / 2; j++)
					c[i][j] += factor * b[k][j];
			}
		}
		/* The bits of every product count. */
		const unsigned *bits = (const unsigned *)c;
		for (int n = 0; n < SIZE * SIZE * 2; n++)
			checksum = checksum * 31 + bits[n];
		a[round][round] += 1;
	}
	return checksum;
}
