/* Recursive calls: Fibonacci of 37 without any folding of the two calls. */
#include "../runtime.h"

const char row_name[] = "fib";

__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) static unsigned fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

unsigned row(void)
{
	return fib(37);
}
