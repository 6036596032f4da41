import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ENGINES } from "../support/engine.ts";
import { BORDERS, Patchwork } from "./patchwork.ts";

const CODE = 0x1000;
/** Times round each loop: more than it takes to have it compiled. */
const ROUNDS = 40;
/** EBX points to the operand, ECX counts. */
const LOOP_END = (body: number): number[] => [0x49, 0x0f, 0x85, ...little32(-(body + 7)), 0xf4];

function little32(value: number): number[] {
	return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

interface Operation {
	readonly name: string;
	readonly code: readonly number[];
	readonly width: number;
	/** What it does to the model; `eax` is EAX before, the result EAX afterwards. */
	readonly model: (memory: Patchwork, at: number, eax: number) => number;
}

const OPERATIONS: readonly Operation[] = [
	{ name: "MOV r32, m32", code: [0x8b, 0x03], width: 4, model: (memory, at) => Number(memory.load(at, 4)) },
	{
		name: "ADD r16, m16",
		code: [0x66, 0x03, 0x03],
		width: 2,
		model: (memory, at, eax) => {
			const sum = (eax + Number(memory.load(at, 2))) & 0xffff;
			return ((eax & 0xffff0000) | sum) >>> 0;
		},
	},
	{
		name: "MOV m32, r32 and INC",
		code: [0x89, 0x03, 0x40],
		width: 4,
		model: (memory, at, eax) => {
			memory.store(at, 4, BigInt(eax));
			return (eax + 1) >>> 0;
		},
	},
	{
		name: "MOV m16, r16 and INC",
		code: [0x66, 0x89, 0x03, 0x40],
		width: 2,
		model: (memory, at, eax) => {
			memory.store(at, 2, BigInt(eax & 0xffff));
			return (eax + 1) >>> 0;
		},
	},
	{
		name: "ADD m32, r32",
		code: [0x01, 0x03],
		width: 4,
		model: (memory, at, eax) => {
			memory.store(at, 4, BigInt.asUintN(32, memory.load(at, 4) + BigInt(eax)));
			return eax;
		},
	},
	{
		name: "LOCK INC m32",
		code: [0xf0, 0xff, 0x03],
		width: 4,
		model: (memory, at, eax) => {
			memory.store(at, 4, BigInt.asUintN(32, memory.load(at, 4) + 1n));
			return eax;
		},
	},
	{
		name: "XCHG m32, r32",
		code: [0x87, 0x03],
		width: 4,
		model: (memory, at, eax) => {
			const value = memory.load(at, 4);
			memory.store(at, 4, BigInt(eax));
			return Number(value);
		},
	},
	{
		name: "CMPXCHG m32, r32 with another value there",
		code: [0xb8, 1, 0, 0, 0, 0x0f, 0xb1, 0x13],
		width: 4,
		model: (memory, at) => {
			const value = memory.load(at, 4);
			memory.store(at, 4, value);
			return Number(value);
		},
	},
	{
		name: "CMPXCHG8B m64 with another value there",
		// NOT EAX first: it has been loaded with the value.
		code: [0xf7, 0xd0, 0x0f, 0xc7, 0x0e],
		width: 8,
		model: (memory, at) => {
			const value = memory.load(at, 8);
			memory.store(at, 8, value);
			return Number(value & 0xffffffffn);
		},
	},
];

describe.each(ENGINES)("accesses over the end of a page on the %s", (engine) => {
	describe.each(BORDERS)("from $from to $to", ({ at }) => {
		it.each(OPERATIONS)("$name is cut at the page and each part goes its own way", async ({ code, width, model }) => {
			for (let before = 0; before <= width; before++) {
				const address = at - before;
				const start = 0x12345678;
				const memory = await Patchwork.create(engine, {
					code: [...code, ...LOOP_END(code.length)],
					origin: CODE,
					registers: { eax: start, ebx: address, ecx: ROUNDS, edx: 0x13572468, esi: address },
				});
				let eax = start;
				for (let round = 0; round < ROUNDS; round++) eax = model(memory, address, eax);
				expect(memory.run()).toBe(EXIT_REASON.hlt);
				expect(memory.exits).toEqual(memory.expected);
				expect(memory.differences()).toEqual([]);
				expect(memory.guest.register("eax")).toBe(eax);
				expect(memory.guest.register("ecx")).toBe(0);
			}
		});
	});
});
