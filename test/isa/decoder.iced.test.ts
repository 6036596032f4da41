import * as iced from "iced-x86";
import { beforeAll, describe, expect, it } from "vitest";
import { type Decoded, Decoder, MAX_LENGTH } from "../../src/isa/decoder.ts";
import type { Flag, Width } from "../../src/isa/expr.ts";
import { undefinedFlags } from "../../src/isa/family.ts";
import { flagUse } from "../../src/isa/flag-use.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { type Departure, isHint, KEEPS_FLAGS, ONLY_ICED, type Opcode, RARE, RARE64 } from "./departures.ts";
import { icedView, ourView, type View } from "./iced-view.ts";

/** WBINVD ignores F3, as it did before WBNOINVD. */
const OPTIONS = iced.DecoderOptions.NoWbnoinvd;
type Bits = 16 | 32 | 64;

const PREFIXES = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/** Marsaglia's xorshift32. */
function randomBytes(seed: number): () => number {
	let x = seed;
	return () => {
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		return x >>> 24;
	};
}

/** Wholly random code, `count` times 15 bytes. */
function randomCode(count: number, seed: number): Uint8Array {
	return new Uint8Array(count * MAX_LENGTH).map(randomBytes(seed));
}

/** Instructions of {@link structuredCode}: of one-byte opcodes and those behind 0F, of those behind 0F 38 and 0F 3A. */
const [SHORT, LONG] = [65536, 16384];

/**
 * Every opcode with every following byte, or some where it is three bytes long, behind up to three prefixes and perhaps a REX
 * prefix, before random bytes.
 */
function structuredCode(seed: number, bits: Bits): Uint8Array {
	const random = randomBytes(seed);
	const code = new Uint8Array(2 * (SHORT + LONG) * MAX_LENGTH).map(random);
	let start = 0;
	for (const [escapes, count] of [
		[[], SHORT],
		[[0x0f], SHORT],
		[[0x0f, 0x38], LONG],
		[[0x0f, 0x3a], LONG],
	] as const) {
		for (let n = 0; n < count; n++) {
			let at = start;
			for (let prefixes = random() & 3; prefixes > 0; prefixes--) code[at++] = PREFIXES[random() % PREFIXES.length]!;
			if (bits === 64 && random() & 1) code[at++] = 0x40 | (random() & 15);
			for (const byte of escapes) code[at++] = byte;
			if (count === SHORT) code[at++] = n >> 8;
			code[at] = n & 0xff;
			start += MAX_LENGTH;
		}
	}
	return code;
}

/** Every VEX opcode of the three maps with every prefix and length and every ModRM.reg, before random bytes. */
function vexCode(seed: number, bits: Bits): Uint8Array {
	const random = randomBytes(seed);
	const count = 3 * 256 * 8 * 16;
	const code = new Uint8Array(count * MAX_LENGTH).map(random);
	for (let n = 0; n < count; n++) {
		let at = n * MAX_LENGTH;
		const [map, opcode] = [1 + ((n >> 7) % 3), Math.floor(n / 384)];
		if (random() < 16) code[at++] = PREFIXES[random() % PREFIXES.length]!;
		// Half of them with vvvv of all ones, so that forms without it are met.
		const last = (n & 7) | (random() & 1 ? 0x78 : random() & 0x78);
		if (map === 1 && random() & 1) {
			code[at++] = 0xc5;
			code[at++] = (bits === 64 ? random() & 0x80 : 0x80) | last;
		} else {
			code[at++] = 0xc4;
			code[at++] = (bits === 64 ? random() & 0xe0 : (random() & 0x20) | 0xc0) | map;
			code[at++] = (random() & 0x80) | last;
		}
		code[at] = opcode;
		code[at + 1] = (code[at + 1]! & 0xc7) | (n & 0x38) | (n & 0x40 ? 0xc0 : 0);
		// Gathers have a SIB byte.
		if (map === 2 && (opcode & 0xfc) === 0x90) code[at + 1] = (code[at + 1]! & 0xf8) | 4;
	}
	return code;
}

/** Every opcode of three maps with every mandatory prefix and ModRM.reg, before random bytes. */
function prefixedCode(seed: number, bits: Bits): Uint8Array {
	const random = randomBytes(seed);
	const count = 3 * 256 * 4 * 16;
	const code = new Uint8Array(count * MAX_LENGTH).map(random);
	for (let n = 0; n < count; n++) {
		const prefix = [[], [0x66], [0xf3], [0xf2]][n & 3]!;
		const map = [[0x0f], [0x0f, 0x38], [0x0f, 0x3a]][(n >> 6) % 3]!;
		const modrm = (random() & 0xc7) | ((n & 0x1c) << 1) | (n & 0x20 ? 0xc0 : 0);
		const rex = bits === 64 && random() & 1 ? [0x40 | (random() & 15)] : [];
		code.set([...prefix, ...rex, ...map, Math.floor(n / 192), modrm], n * MAX_LENGTH);
	}
	return code;
}

/** Given instructions, each followed by zeros. */
function listedCode(instructions: readonly (readonly number[])[]): Uint8Array {
	const code = new Uint8Array(instructions.length * MAX_LENGTH);
	for (const [n, bytes] of instructions.entries()) code.set(bytes, n * MAX_LENGTH);
	return code;
}

function opcodeAt(code: Uint8Array, start: number, bits: Bits): Opcode {
	let at = start;
	while (PREFIXES.includes(code[at]!) || (bits === 64 && (code[at]! & 0xf0) === 0x40)) at++;
	const map = code[at] === 0x0f ? 1 : 0;
	return { map, byte: code[at + map]!, next: code[at + map + 1] ?? 0, bits };
}

const sizes = new Map<iced.MemorySize, number>();
function bitsOf(size: iced.MemorySize): number {
	let bits = sizes.get(size);
	if (bits === undefined) {
		bits = iced.MemorySizeExt.size(size) * 8;
		sizes.set(size, bits);
	}
	return bits;
}

/** What iced says in words that ours does not say: other names of a family, the size behind an address alone. */
function reconcile(theirs: View, ours: View, decoded: Decoded): View {
	const { aliases = [] } = decoded.instance!.form.family;
	return {
		...theirs,
		mnemonic: aliases.includes(theirs.mnemonic.toUpperCase()) ? ours.mnemonic : theirs.mnemonic,
		operands: theirs.operands.map((operand, n) =>
			ours.operands[n]?.startsWith("0 ") ? operand.replace(/^\d+ /, "0 ") : operand,
		),
	};
}

interface Comparison {
	compared: number;
	readonly mismatches: string[];
	readonly departed: Set<Departure>;
	/** First instruction of each of iced's codes in each size that both know, with and without memory, for closer looks. */
	readonly samples: Map<string, { code: Uint8Array; bits: Bits }>;
}

function compare(code: Uint8Array, bits: Bits, comparison: Comparison): void {
	const ours = new Decoder(instructionTable());
	const theirs = new iced.Decoder(bits, code, OPTIONS);
	const instruction = new iced.Instruction();
	const { mismatches, departed, samples } = comparison;
	for (let at = 0; at < code.length; at += MAX_LENGTH) {
		comparison.compared++;
		const ip = at & 0xffff;
		theirs.position = at;
		theirs.ip = BigInt(ip);
		theirs.decodeOut(instruction);
		const decoded = ours.decode(code, at, at + MAX_LENGTH, bits);
		const known = decoded.status === "ok";
		const valid = instruction.code !== iced.Code.INVALID;
		if (!known && !valid) continue;
		const opcode = opcodeAt(code, at, bits);
		if (known !== valid) {
			const departure = ONLY_ICED.find(
				({ map, from, to, where }) =>
					valid &&
					map === opcode.map &&
					opcode.byte >= from &&
					opcode.byte <= to &&
					where?.(opcode.next, bits) !== false,
			);
			if (departure) departed.add(departure);
			else mismatches.push(`${bits} ${hex(code, at)}: only ${valid ? "iced" : "ours"} knows it`);
			continue;
		}
		const view = ourView(decoded, ip, bits);
		const expected = reconcile(icedView(instruction, bitsOf, bits), view, decoded);
		const key = `${bits} ${instruction.code} ${decoded.mod === 3}`;
		const same = isHint(opcode)
			? expected.length === view.length && /^(nop|prefetch)/.test(view.mnemonic)
			: expected.length === view.length &&
				expected.mnemonic === view.mnemonic &&
				expected.lock === view.lock &&
				expected.operands.join() === view.operands.join();
		if (!same) mismatches.push(`${bits} ${hex(code, at)}: ${JSON.stringify(view)}, iced ${JSON.stringify(expected)}`);
		else if (!samples.has(key) && !isHint(opcode))
			samples.set(key, { code: code.slice(at, at + decoded.length), bits });
	}
	instruction.free();
	theirs.free();
}

function hex(code: Uint8Array, at: number): string {
	return Buffer.from(code.subarray(at, at + MAX_LENGTH)).toString("hex");
}

describe("the decoder beside iced", () => {
	const comparison: Comparison = { compared: 0, mismatches: [], departed: new Set(), samples: new Map() };

	beforeAll(() => {
		compare(listedCode(RARE64), 64, comparison);
		for (const bits of [16, 32, 64] as const) {
			compare(structuredCode(0x1234567 + bits, bits), bits, comparison);
			compare(prefixedCode(0x2468ace + bits, bits), bits, comparison);
			for (const seed of [0x7654321, 0x1357924]) compare(vexCode(seed + bits, bits), bits, comparison);
			compare(listedCode(RARE), bits, comparison);
			compare(randomCode(40_000, 0x89abcde + bits), bits, comparison);
		}
	});

	it("reads over 450,000 instructions of 16-, 32- and 64-bit code alike, but for listed departures", () => {
		expect(comparison.mismatches.slice(0, 10)).toEqual([]);
		expect(comparison.compared).toBeGreaterThan(450_000);
	});

	it("departs in every way that is listed", () => {
		expect(ONLY_ICED.filter((departure) => !comparison.departed.has(departure))).toEqual([]);
	});

	it("meets every form of the table", () => {
		const decoder = new Decoder(instructionTable());
		const met = new Set(
			[...comparison.samples.values()].map(({ code, bits }) => decoder.decode(code, 0, code.length, bits).form),
		);
		const missed = instructionTable().forms.filter(
			(form) => !met.has(form) && !/^(NOP|PREFETCH)/.test(form.family.name),
		);
		expect(missed.map(({ family, encoding }) => `${family.name} ${encoding.text}`)).toEqual([]);
	});

	it("needs every byte of an instruction: one less is truncated", () => {
		const decoder = new Decoder(instructionTable());
		const wrong: string[] = [];
		for (const { code, bits } of comparison.samples.values())
			if (decoder.decode(code, 0, code.length - 1, bits).status !== "truncated") wrong.push(hex(code, 0));
		expect(wrong).toEqual([]);
	});

	it("agrees on the flags that are read, written and left undefined", () => {
		const decoder = new Decoder(instructionTable());
		const wrong: string[] = [];
		for (const { code, bits } of comparison.samples.values()) {
			const decoded = decoder.decode(code, 0, code.length, bits);
			const instance = decoded.instance!;
			const { name } = instance.form.family;
			const { reads, writes } = flagUse(instance);
			const width = (instance.operands[0]?.width || 32) as Width;
			// By a count of 0 nothing changes, which only iced says.
			if (typeof instance.form.family.undefined === "function" && countFor(decoded) === 0) continue;
			const lost = new Set(undefinedFlags(instance.form.family, width, countFor(decoded)));
			const theirs = new iced.Decoder(bits, code, OPTIONS);
			const instruction = theirs.decode();
			const changed = instruction.rflagsWritten | instruction.rflagsCleared | instruction.rflagsSet;
			const ours = {
				reads: KEEPS_FLAGS.has(name) ? "" : words([...reads]),
				writes: words([...writes].filter((flag) => !lost.has(flag))),
				undefined: words([...lost]),
			};
			const expected = {
				reads: KEEPS_FLAGS.has(name) ? "" : words(icedFlags(instruction.rflagsRead)),
				writes: words(icedFlags(changed)),
				undefined: words(icedFlags(instruction.rflagsUndefined)),
			};
			if (JSON.stringify(ours) !== JSON.stringify(expected))
				wrong.push(`${name} ${hex(code, 0)}: ${JSON.stringify(ours)}, iced ${JSON.stringify(expected)}`);
			instruction.free();
			theirs.free();
		}
		expect(wrong).toEqual([]);
	});
});

const ICED_FLAGS: readonly [iced.RflagsBits, Flag][] = [
	[iced.RflagsBits.AF, "af"],
	[iced.RflagsBits.CF, "cf"],
	[iced.RflagsBits.OF, "of"],
	[iced.RflagsBits.PF, "pf"],
	[iced.RflagsBits.SF, "sf"],
	[iced.RflagsBits.ZF, "zf"],
];

function icedFlags(bits: number): Flag[] {
	return ICED_FLAGS.filter(([bit]) => bits & bit).map(([, flag]) => flag);
}

function words(flags: readonly Flag[]): string {
	return [...flags].sort().join(" ");
}

/** A count as iced takes it: 0, 1 or "more", which CL may be; it reduces counts of RCL and RCR by whole turns. */
function countFor({ instance, immediate }: Decoded): number {
	const { form, operands } = instance!;
	const kind = operands.at(-1)?.kind;
	if (kind === "one") return 1;
	if (kind !== "immediate") return 2;
	const turn = /^RC[LR]$/.test(form.family.name) ? (operands[0]?.width ?? 0) + 1 : 64;
	return Math.min((immediate & (operands[0]?.width === 64 ? 63 : 31)) % turn, 2);
}
