import { describe, expect, it } from "vitest";
import { KeyFilter, QueuedSource } from "../../src/host/stdin.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const text = (taken: Uint8Array): string => Buffer.from(taken).toString("latin1");

describe("a queue of arrived bytes", () => {
	it("is taken in order, in pieces of any size", () => {
		const queue = new QueuedSource();
		queue.push(bytes("abc"));
		queue.push(bytes("defg"));
		expect([queue.take(2), queue.take(3), queue.take(9), queue.take(1)].map(text)).toEqual(["ab", "cde", "fg", ""]);
	});

	it("has ended only when the last byte has been taken", () => {
		const queue = new QueuedSource();
		queue.push(bytes("x"));
		queue.end();
		expect(queue.ended).toBe(false);
		queue.take(1);
		expect(queue.ended).toBe(true);
	});

	it("wakes its reader on bytes and on the end", () => {
		const queue = new QueuedSource();
		let woken = 0;
		queue.onArrival(() => woken++);
		queue.push(bytes("x"));
		queue.push(bytes(""));
		queue.end();
		expect(woken).toBe(2);
	});
});

describe("keys at a terminal", () => {
	function keys(...chunks: readonly string[]): { passed: string; quits: number } {
		let quits = 0;
		const filter = new KeyFilter(() => quits++);
		return { passed: chunks.map((chunk) => text(filter.pass(bytes(chunk)))).join(""), quits };
	}

	it.each([
		["plain keys are the guest's", ["ls\r"], { passed: "ls\r", quits: 0 }],
		["Ctrl-C ends the run", ["l\x03s"], { passed: "ls", quits: 1 }],
		["Ctrl-A x ends the run", ["\x01x"], { passed: "", quits: 1 }],
		["Ctrl-A Ctrl-C is the guest's Ctrl-C", ["\x01\x03"], { passed: "\x03", quits: 0 }],
		["Ctrl-A Ctrl-A is the guest's Ctrl-A", ["\x01\x01a"], { passed: "\x01a", quits: 0 }],
		["Ctrl-A and its key may arrive apart", ["\x01", "x"], { passed: "", quits: 1 }],
		["Ctrl-A and any other key is nothing", ["\x01qa"], { passed: "a", quits: 0 }],
	])("%s", (_name, chunks, expected) => {
		expect(keys(...chunks)).toEqual(expected);
	});
});
