/* A bytecode interpreter: one switch, a stack of words, a program that counts and mixes in a loop. */
#include "../runtime.h"

const char row_name[] = "bytecode";

enum { PUSH, ADD, XOR, DUP, LOAD, STORE, SHIFT, DECREMENT_JUMP, HALT };

static unsigned char program[] = {
	PUSH, 1, STORE, 0,		/* v0 = 1 */
	LOAD, 0, DUP, SHIFT, 3, XOR,	/* loop: v0 ^= v0 << 3 */
	PUSH, 77, ADD, STORE, 0,	/* v0 += 77 */
	LOAD, 1, LOAD, 0, ADD, STORE, 1,/* v1 += v0 */
	DECREMENT_JUMP, 4,
	HALT,
};

__attribute__((noinline)) static unsigned interpret(const unsigned char *code, unsigned count)
{
	unsigned stack[16], variables[4] = { 0 }, *sp = stack, top;
	const unsigned char *pc = code;

	for (;;) {
		switch (*pc++) {
		case PUSH:
			*sp++ = *pc++;
			break;
		case ADD:
			top = *--sp;
			sp[-1] += top;
			break;
		case XOR:
			top = *--sp;
			sp[-1] ^= top;
			break;
		case DUP:
			top = sp[-1];
			*sp++ = top;
			break;
		case LOAD:
			*sp++ = variables[*pc++];
			break;
		case STORE:
			variables[*pc++] = *--sp;
			break;
		case SHIFT:
			sp[-1] <<= *pc++;
			break;
		case DECREMENT_JUMP:
			top = *pc++;
			if (--count)
				pc = code + top;
			break;
		default:
			return variables[0] ^ variables[1];
		}
	}
}

unsigned row(void)
{
	return interpret(program, 4000000);
}
