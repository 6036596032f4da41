/* Indirect calls through a table of 16 small functions, chosen by a number generator. */
#include "../runtime.h"

const char row_name[] = "indirect";

typedef unsigned function(unsigned);

#define FUNCTION(n, expression) \
	__attribute__((noinline)) static unsigned f##n(unsigned x) { return expression; }
FUNCTION(0, x + 1)
FUNCTION(1, x ^ 0x55aa)
FUNCTION(2, x * 3)
FUNCTION(3, x >> 1)
FUNCTION(4, x - 7)
FUNCTION(5, ~x)
FUNCTION(6, x << 3 | x >> 29)
FUNCTION(7, x | 1)
FUNCTION(8, x + 0x1000)
FUNCTION(9, x ^ x >> 5)
FUNCTION(10, x * 5 + 1)
FUNCTION(11, -x)
FUNCTION(12, x & 0xfffffff0)
FUNCTION(13, x + x)
FUNCTION(14, x ^ x << 7)
FUNCTION(15, x >> 3 | x << 29)

static function *volatile const table[16] = { f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15 };

unsigned row(void)
{
	unsigned x = 1, state = 5;

	for (int i = 0; i < 30000000; i++)
		x = table[next_number(&state) >> 28](x) + i;
	return x;
}
