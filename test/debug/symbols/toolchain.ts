import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, test } from "vitest";
import { describeWith, type ProvidedName } from "../../support/guest-files.ts";

/** A test that needs tools; what has them is a package, as for {@link describeWith}. GCC's brings binutils. */
export function testWith(...names: readonly ProvidedName[]): (title: string, body: () => void | Promise<void>) => void {
	return (title, body) => describeWith(names, "by tools of the host", () => test(title, body));
}

/** Runs a program that must succeed. @returns what it prints */
export function run(folder: string, program: string, ...words: readonly string[]): string {
	const { status, stdout, stderr, error } = spawnSync(program, words, {
		...{ cwd: folder, encoding: "utf8", maxBuffer: 1 << 28 },
		env: { ...process.env, LC_ALL: "C" },
	});
	if (status !== 0) throw new Error(`${program} ${words.join(" ")}: ${error?.message ?? stderr}`);
	return stdout;
}

/** A folder for the tests of one file; it goes with them. */
export function workFolder(): string {
	const folder = mkdtempSync(join(tmpdir(), "tsvmm-symbols-"));
	afterAll(() => rmSync(folder, { recursive: true }));
	return folder;
}

/** A program of two source files, with inlined, static, variable and unused parts, that needs no library. */
export const PROGRAM: Readonly<Record<string, string>> = {
	"part.h": `static inline __attribute__((always_inline)) int scaled(int value, int by)
{
	int sum = 0;
	for (int n = 0; n < by; n++)
		sum += value;
	return sum;
}
`,
	"main.c": `#include "part.h"
int other(int value);
volatile int counter = 3;
static int zero[64];

static __attribute__((noinline)) int leaf(int value)
{
	return value * counter;
}

__attribute__((noinline)) int middle(int value)
{
	int result = leaf(value + 1);
	zero[result & 63]++;
	return result + other(value);
}

int unused(int value)
{
	return scaled(value, 77);
}

void _start(void)
{
	counter += middle(scaled(counter, 5));
	for (;;)
		counter--;
}
`,
	"sub/other.c": `int other(int value)
{
	switch (value & 7) {
	case 0: return 12;
	case 1: return value / 3;
	case 2: return value << 3;
	case 3: return 90 - value;
	case 4: return value ^ 0x55;
	default: return value;
	}
}
`,
};

/** Writes {@link PROGRAM} into a folder. */
export function writeProgram(folder: string): void {
	run(folder, "mkdir", "-p", "sub");
	for (const [name, text] of Object.entries(PROGRAM)) writeFileSync(join(folder, name), text);
}
