/*
 * Runs instructions on this processor and prints what they leave behind, as a hash of the state (../simd-state.ts).
 * Input: lines "HEX" or, of gathers, "HEX gREGISTER:BYTES" with their indices (cases.ts). Output: the line and RUNS hashes.
 * With -v LINE RUN, prints that case's state before and after instead.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { YMM = 0, MM = 128, GPR = 144, FLAGS = 176, MEMORY = 178, WORDS = 306, RUNS = 8 };

static const uint32_t special[16] = {
	0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x80808080, 0x7f7f7f7f,
	0x80007fff,
};

static uint32_t hash(uint32_t x) {
	x ^= x >> 16;
	x *= 0x7feb352d;
	x ^= x >> 15;
	x *= 0x846ca68b;
	return x ^ x >> 16;
}

struct context {
	uint32_t state[WORDS + 6];
	uint64_t stack;
	void *code;
};

/* Loads all of the state, calls the code, stores all of the state. The context's address waits on the stack. */
extern void enter(struct context *context);
__asm__(
	".globl enter\nenter:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"push %rdi\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvmovdqu \\n*32(%rdi), %ymm\\n\n.endr\n"
	".irp n,0,1,2,3,4,5,6,7\nmovq 512+\\n*8(%rdi), %mm\\n\n.endr\n"
	"pushq 704(%rdi)\npopfq\n"
	"mov 576(%rdi), %rax\nmov 584(%rdi), %rcx\nmov 592(%rdi), %rdx\nmov 600(%rdi), %rbx\n"
	"mov 616(%rdi), %rbp\nmov 624(%rdi), %rsi\n"
	"mov 640(%rdi), %r8\nmov 648(%rdi), %r9\nmov 656(%rdi), %r10\nmov 664(%rdi), %r11\n"
	"mov 672(%rdi), %r12\nmov 680(%rdi), %r13\nmov 688(%rdi), %r14\nmov 696(%rdi), %r15\n"
	"push 1248+8(%rdi)\n"
	"mov 600(%rdi), %rdi\n"
	"call *(%rsp)\n"
	"lea 8(%rsp), %rsp\n"
	"pushfq\npush %rdi\nmov 16(%rsp), %rdi\n"
	"mov %rax, 576(%rdi)\nmov %rcx, 584(%rdi)\nmov %rdx, 592(%rdi)\nmov %rbx, 600(%rdi)\n"
	"mov %rbp, 616(%rdi)\nmov %rsi, 624(%rdi)\n"
	"mov %r8, 640(%rdi)\nmov %r9, 648(%rdi)\nmov %r10, 656(%rdi)\nmov %r11, 664(%rdi)\n"
	"mov %r12, 672(%rdi)\nmov %r13, 680(%rdi)\nmov %r14, 688(%rdi)\nmov %r15, 696(%rdi)\n"
	"pop %rax\nmov %rax, 632(%rdi)\npopq 704(%rdi)\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvmovdqu %ymm\\n, \\n*32(%rdi)\n.endr\n"
	".irp n,0,1,2,3,4,5,6,7\nmovq %mm\\n, 512+\\n*8(%rdi)\n.endr\n"
	"emms\nvzeroupper\n"
	"pop %rdi\npop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");

static sigjmp_buf back;

static void fault(int number) {
	siglongjmp(back, number);
}

static void fill(uint32_t *state, uint32_t line, uint32_t run, int index, int bytes) {
	uint32_t seed = hash(line * 64 + run);
	for (uint32_t n = 0; n < WORDS; n++) {
		uint32_t h = hash(seed ^ hash(n));
		state[n] = h >> 28 < 4 ? special[h >> 8 & 15] : hash(h);
	}
	state[FLAGS] &= 0x8d5;
	state[FLAGS + 1] = 0;
	const int left_out[] = {3, 4, 7};
	for (int n = 0; n < 3; n++) state[GPR + left_out[n] * 2] = state[GPR + left_out[n] * 2 + 1] = 0;
	if (index < 0) return;
	for (int n = 0; n < 8; n++) {
		uint32_t *at = &state[YMM + index * 8 + n];
		*at = bytes == 8 && n % 2 ? (uint32_t)((int32_t)at[-1] >> 31) : (*at & 31) - 8;
	}
}

static void show(const char *what, const uint32_t *state) {
	printf("%s\n", what);
	for (int n = 0; n < WORDS; n++) printf("%08x%c", state[n], n % 8 == 7 ? '\n' : ' ');
	printf("\n");
}

int main(int count, char **arguments) {
	long wanted = count > 3 ? atol(arguments[2]) : -1, wanted_run = count > 3 ? atol(arguments[3]) : -1;
	uint8_t *code = mmap((void *)0x20000000, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	uint8_t *data = mmap((void *)0x21000000, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	static struct context context;
	/* Kept over a fault. */
	static uint32_t line, run;
	char text[128];
	if (code == MAP_FAILED || data == MAP_FAILED) return 1;
	struct sigaction action = {.sa_handler = fault, .sa_flags = SA_NODEFER};
	sigaction(SIGSEGV, &action, 0);
	sigaction(SIGILL, &action, 0);
	sigaction(SIGFPE, &action, 0);
	sigaction(SIGBUS, &action, 0);
	for (line = 0; fgets(text, sizeof text, stdin); line++) {
		text[strcspn(text, "\n")] = 0;
		int length = 0, index = -1, bytes = 0;
		unsigned byte;
		char *mark = strchr(text, 'g');
		if (mark) sscanf(mark, "g%d:%d", &index, &bytes);
		for (char *at = text; sscanf(at, "%2x", &byte) == 1 && *at != ' ' && *at; at += 2) code[length++] = byte;
		code[length] = 0xc3;
		if (wanted < 0) printf("%s", text);
		for (run = 0; run < RUNS; run++) {
			if (wanted >= 0 && (line != wanted || run != wanted_run)) continue;
			fill(context.state, line, run, index, bytes);
			if (wanted >= 0) show("before", context.state);
			memcpy(data, &context.state[MEMORY], 512);
			*(uint64_t *)&context.state[GPR + 6] = (uint64_t)data;
			context.code = code;
			int number = sigsetjmp(back, 1);
			if (number) {
				if (wanted < 0) printf(" !%d", number);
				continue;
			}
			enter(&context);
			memcpy(&context.state[MEMORY], data, 512);
			context.state[FLAGS] &= 0x8d5;
			context.state[FLAGS + 1] = 0;
			const int left_out[] = {3, 4, 7};
			for (int n = 0; n < 3; n++) context.state[GPR + left_out[n] * 2] = context.state[GPR + left_out[n] * 2 + 1] = 0;
			uint32_t h = 0x811c9dc5;
			for (int n = 0; n < WORDS; n++) h = hash(h ^ context.state[n]);
			if (wanted < 0) printf(" %08x", h);
			else show("after", context.state);
		}
		if (wanted < 0) printf("\n");
	}
	return 0;
}
