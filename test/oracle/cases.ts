import { Decoder } from "../../src/isa/decoder.ts";
import { instructionTable } from "../../src/isa/index.ts";
import { RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP } from "../../src/isa/registers.ts";
import type { Instance } from "../../src/isa/table.ts";
import { undefinedMask } from "../isa/undefined-flags.ts";

/** Linear addresses of the one data page and the one code page of a case; everything else is absent. */
export const DATA = 0x10000;
export const CODE = 0x20000;
export const PAGE = 4096;
/** Bytes of code page for each instruction. */
export const STRIDE = 32;

/** 32-bit words of a state; host.c has the same numbers. */
export const STATE = {
	gprs: 0,
	flags: 32,
	mxcsr: 33,
	fcw: 34,
	/** With TOP. */
	fsw: 35,
	/** One bit for each physical register. */
	tags: 36,
	/** Flags that the instruction leaves undefined. */
	undefined: 37,
	/** ST0 to ST7, four words each. */
	st: 40,
	ymm: 72,
	/** Results only: exception, 0xff for none; its error code; CR2 of a page fault. */
	vector: 200,
	error: 201,
	cr2: 202,
	rip: 204,
} as const;
export const WORDS = 206;
export const NO_FAULT = 0xff;
/** EFLAGS bits that are compared. */
export const USER_FLAGS = 0xcd5;

/** Encodings of each instance, and states that each of them starts from. */
export const ENCODINGS = 16;
export const STATES = 32;

/**
 * What a program at CPL 3 cannot run alike everywhere: system state, time, identity, randomness, other segments; and what the
 * manual leaves open: approximations, and transcendental functions. x87 environments hold addresses of their own.
 */
const EXCLUDED = new RegExp(
	`^(${[
		"CPUID|RDTSC|RDTSCP|RDPMC|RDRAND|RDSEED|RDPID|XGETBV|XSETBV|RDPKRU|WRPKRU",
		"XSAVE.*|XRSTOR.*|FXSAVE.*|FXRSTOR.*|FLDENV|FSTENV|FNSTENV|FSAVE|FNSAVE|FRSTOR",
		"SGDT|SIDT|SLDT|STR|SMSW|LAR|LSL|VERR|VERW|CLI|STI|IN|OUT|INS|OUTS|POPF.*|PUSHF.*|INT.*|IRET.*|UD.*",
		"SYSCALL|SYSENTER|(RD|WR)[FG]SBASE|MONITOR|MWAIT|CALLF|JMPF|RETF|L[DEFGS]S|ENTER",
		"CLFLUSH.*|CLWB|CLDEMOTE|V?RCP.*|V?RSQRT.*",
		"F2XM1|FYL2X|FYL2XP1|FPTAN|FPATAN|FSIN|FCOS|FSINCOS",
	].join("|")})$`,
);

/** 32-bit numbers that look random and are the same every time. */
export class Random {
	private state: number;
	constructor(seed: string) {
		this.state = 0x811c9dc5;
		for (const char of seed) this.state = Math.imul(this.state ^ char.charCodeAt(0), 0x01000193);
	}
	word(): number {
		this.state = (this.state + 0x9e3779b9) | 0;
		let z = Math.imul(this.state ^ (this.state >>> 16), 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return (z ^ (z >>> 15)) >>> 0;
	}
	below(count: number): number {
		return this.word() % count;
	}
	chance(percent: number): boolean {
		return this.below(100) < percent;
	}
	of<T>(values: readonly T[]): T {
		return values[this.below(values.length)]!;
	}
}

/** A memory operand: register numbers or -1, and whether addresses are cut to 32 bits. */
interface Address {
	readonly base: number;
	readonly index: number;
	readonly scale: number;
	readonly displacement: number;
	readonly short: boolean;
	/** Where it points to when no register says so. */
	readonly target: number;
}

/** One instruction: its bytes, and what states must heed. */
export interface Encoding {
	readonly instance: Instance;
	readonly name: string;
	readonly bytes: readonly number[];
	/** Offset in the code page. */
	readonly offset: number;
	readonly address: Address | undefined;
}

const BIT_OFFSET = /^BT[CRS]?$/;

const table = instructionTable();
const decoder = new Decoder(table);

/** Every instance that user programs in 64-bit code can run alike everywhere, by a name of its own. */
export function instances(): Map<string, Instance> {
	const found = new Map<string, Instance>();
	for (const instance of table.instances) {
		const { form, size, rm, operands } = instance;
		const { family, options, checks, encoding } = form;
		if (options.mode === "i64" || EXCLUDED.test(family.name) || checks.includes("cpl0")) continue;
		if (operands.some(({ kind }) => ["sreg", "fixedSegment", "creg", "dreg", "farPointer"].includes(kind))) continue;
		if (form.sized && size === 32 && options.size64 !== undefined) continue;
		// Far transfers depend on descriptors; an indirect call that faults has stored its return address already.
		if (operands.some(({ code }) => code === "Mp") || /^(CALL FF|RET C[AB])/.test(`${family.name} ${encoding.text}`))
			continue;
		// Branches are always 64 bits wide (SDM 2 table A-1, f64).
		if (form.sized && size !== 64 && options.size64 === "f64") continue;
		const name = `${family.name} ${encoding.text} ${form.operandCodes.join(",")} ${form.sized ? size : "-"} ${rm}`;
		found.set(name, instance);
	}
	return found;
}

/** Encodings of an instance, always the same ones. */
export function encodings(name: string, instance: Instance): Encoding[] {
	const found: Encoding[] = [];
	const random = new Random(name);
	for (let tries = 0; found.length < ENCODINGS && tries < ENCODINGS * 8; tries++) {
		const offset = STRIDE * (1 + random.below(PAGE / STRIDE - 2));
		const encoding = encode(name, instance, random, offset);
		const bytes = Uint8Array.from(encoding.bytes);
		const decoded = decoder.decode(bytes, 0, bytes.length, 64);
		// A bit offset cannot be an address as well.
		const { address } = encoding;
		if (BIT_OFFSET.test(instance.form.family.name) && (address?.base === decoded.reg || address?.index === decoded.reg))
			continue;
		if (decoded.status === "ok" && decoded.instance === instance && decoded.length === bytes.length)
			found.push(encoding);
	}
	return found;
}

function encode(name: string, instance: Instance, random: Random, offset: number): Encoding {
	const { form, size, rm, operands } = instance;
	const { encoding, options, family } = form;
	const bytes: number[] = [];
	const inMemory = rm === "memory" || (rm === "none" && form.mod === "memory");
	const short = (inMemory || family.repeat === true) && random.chance(10);
	if (family.lock && inMemory && random.chance(15)) bytes.push(0xf0);
	if (short) bytes.push(0x67);
	if (form.sized && size === 16 && !encoding.vex) bytes.push(0x66);
	if (family.repeat && random.chance(60)) bytes.push(random.of([0xf2, 0xf3]));
	if (encoding.prefix > 0 && !encoding.vex) bytes.push(encoding.prefix);

	const { reg: existing = [0, 1, 2, 3, 4, 5, 6, 7] } = options;
	const restricted = options.reg !== undefined || typeof encoding.modrm === "number";
	const reg = typeof encoding.modrm === "number" ? encoding.modrm : restricted ? random.of(existing) : random.below(16);
	const addressing = inMemory ? chooseAddress(random, short, options.vsib === true) : undefined;
	const register = random.below(encoding.exact === undefined ? 16 : 8);
	const rexR = reg >> 3;
	const rexX = addressing && addressing.index >= 0 ? addressing.index >> 3 : 0;
	const rexB = addressing ? (addressing.base >= 0 ? addressing.base >> 3 : 0) : register >> 3;
	const isDefault = options.size64 !== undefined;
	const rexW = encoding.rexW || (form.sized && size === 64 && !(isDefault && random.chance(70))) ? 1 : 0;
	if (encoding.vex) {
		const { l = 0, w = form.sized ? Number(size === 64) : random.below(2) } = encoding.vex;
		const pp = encoding.prefix > 0 ? [0x66, 0xf3, 0xf2].indexOf(encoding.prefix) + 1 : 0;
		const vvvv = form.usesVvvv ? random.below(16) : 0;
		const last = (((~vvvv & 15) << 3) | (l << 2) | pp) as number;
		if (encoding.map === 1 && !w && !rexX && !rexB && random.chance(60)) bytes.push(0xc5, ((rexR ^ 1) << 7) | last);
		else bytes.push(0xc4, ((rexR ^ 1) << 7) | ((rexX ^ 1) << 6) | ((rexB ^ 1) << 5) | encoding.map, (w << 7) | last);
	} else {
		const rex = (rexW << 3) | (rexR << 2) | (rexX << 1) | rexB;
		if (rex || random.chance(15)) bytes.push(0x40 | rex);
		bytes.push(...[[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][encoding.map]!);
	}
	bytes.push(encoding.opcode + (encoding.plusRegister ? register & 7 : 0));
	let fixup = -1;
	if (encoding.exact !== undefined) bytes.push(encoding.exact);
	else if (encoding.modrm !== undefined) {
		if (addressing) {
			const field = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);
			const low = (reg & 7) << 3;
			const { base, index, scale, displacement } = addressing;
			if (base === -2) {
				bytes.push(low | 5);
				fixup = bytes.length;
				bytes.push(0, 0, 0, 0);
			} else if (base < 0) {
				bytes.push(low | 4, (scale << 6) | (index < 0 ? 0x20 : (index & 7) << 3) | 5, ...field(displacement));
			} else {
				const byte = displacement === (displacement << 24) >> 24 && random.chance(70);
				const mod = displacement === 0 && (base & 7) !== 5 ? 0 : byte ? 1 : 2;
				if (index < 0 && (base & 7) !== 4) bytes.push((mod << 6) | low | (base & 7));
				else bytes.push((mod << 6) | low | 4, (scale << 6) | (index < 0 ? 0x20 : (index & 7) << 3) | (base & 7));
				if (mod === 1) bytes.push(displacement & 0xff);
				if (mod === 2) bytes.push(...field(displacement));
			}
		} else bytes.push(0xc0 | ((reg & 7) << 3) | (register & 7));
	}
	for (const { kind, immediateBytes } of operands) {
		if (kind === "offset") bytes.push(...(short ? [] : [0, 4, 1, 0, 0, 0, 0, 0]));
		// Branches land in the code page, or on both sides of it.
		else if (kind === "relative" && immediateBytes > 1)
			bytes.push(random.below(256), random.below(16), ...new Array<number>(immediateBytes - 2).fill(0));
		else if (kind === "relative") bytes.push(random.chance(50) ? random.below(0x70) : 0x80 + random.below(0x60));
		else for (let n = 0; n < immediateBytes; n++) bytes.push(random.below(256));
	}
	if (fixup >= 0) {
		const distance = DATA + 0x100 + random.below(0x80) * 16 - (CODE + offset + bytes.length);
		for (let n = 0; n < 4; n++) bytes[fixup + n] = (distance >> (8 * n)) & 0xff;
		return {
			instance,
			name,
			bytes,
			offset,
			address: { ...addressing!, target: CODE + offset + bytes.length + distance },
		};
	}
	return { instance, name, bytes, offset, address: addressing };
}

function chooseAddress(random: Random, short: boolean, vsib: boolean): Address {
	const displacement = random.chance(40)
		? 0
		: random.chance(60)
			? random.below(256) - 128
			: random.below(0x400) - 0x200;
	const form = vsib ? 1 : random.below(10);
	const scale = random.below(4);
	const target = DATA + 0x200 + random.below(0x40) * 16;
	if (form === 0) return { base: -2, index: -1, scale: 0, displacement: 0, short, target };
	if (form === 1 && !vsib) return { base: -1, index: -1, scale: 0, displacement: target, short, target };
	const base = random.below(16);
	let index = form < 5 || vsib ? random.below(16) : -1;
	if (!vsib && (index === 4 || index === base)) index = -1;
	return { base, index, scale: index < 0 ? 0 : scale, displacement, short, target: 0 };
}

const WORDS_64: readonly (readonly [number, number])[] = [
	[0, 0],
	[1, 0],
	[0xffffffff, 0xffffffff],
	[0x80000000, 0],
	[0x80000000, 0xffffffff],
	[0x7fffffff, 0],
	[0, 0x80000000],
	[0xffffffff, 0x7fffffff],
	[0xffffffff, 0],
	[0x7f, 0],
	[0x80, 0],
	[0xffff, 0],
	[0x8000, 0],
];

function general(random: Random, state: Uint32Array, n: number): void {
	const kind = random.below(4);
	if (kind === 0) state.set(random.of(WORDS_64), n * 2);
	else if (kind === 1) state.set([random.below(256), 0], n * 2);
	else state.set([random.word(), random.word()], n * 2);
}

const SINGLES = [0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00001, 0xffc12345, 1];
const MORE_SINGLES = [
	0x80000001, 0x7fffff, 0x800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0x3f000000,
];
const SPECIAL_SINGLES = [...SINGLES, ...MORE_SINGLES];
/** Upper and lower halves. */
const SPECIAL_DOUBLES: readonly (readonly [number, number])[] = [
	...doubles(0, [0, 0x80000000, 0x3ff00000, 0xbff00000, 0x7ff00000, 0xfff00000, 0x7ff80000, 0x000fffff, 0x00100000]),
	...doubles(0, [0x41e00000, 0xc1e00000, 0x43e00000, 0xc3e00000, 0x3fe00000, 0x40080000]),
	...doubles(0xffffffff, [0x7ff00000, 0xfff80000, 0, 0x80000000, 0x000fffff, 0x7fefffff, 0x41dfffff, 0x36a00000]),
	...doubles(1, [0, 0x7ff40000]),
];

function doubles(low: number, high: readonly number[]): [number, number][] {
	return high.map((word) => [word, low]);
}

/** Fills `words` (a multiple of two of them) with values that some instruction finds interesting. */
function interesting(random: Random, words: Uint32Array): void {
	const kind = random.below(5);
	for (let n = 0; n < words.length; n += 2) {
		if (kind === 0) words.set([random.word(), random.word()], n);
		else if (kind === 1)
			for (let k = 0; k < 2; k++)
				words[n + k] = random.chance(25)
					? random.of(SPECIAL_SINGLES)
					: (random.word() & 0x807fffff) | ((random.chance(80) ? 107 + random.below(60) : random.below(256)) << 23);
		else if (kind === 2) {
			const [high, low] = random.of(SPECIAL_DOUBLES);
			const exponent = random.chance(80) ? 1003 + random.below(70) : random.below(2048);
			if (random.chance(25)) words.set([low, high], n);
			else words.set([random.chance(30) ? 0 : random.word(), (random.word() & 0x800fffff) | (exponent << 20)], n);
		} else if (kind === 3) words.set([random.below(512) - 256, random.below(512) - 256], n);
		else words.set([random.word() & 0x80ff7f01, random.word() & 0xff0080ff], n);
	}
}

function extended(random: Random, words: Uint32Array): void {
	const kind = random.below(20);
	const sign = random.below(2) << 15;
	const whole = random.chance(95) ? 0x80000000 : 0;
	if (kind < 12)
		words.set([random.chance(30) ? 0 : random.word(), random.word() | whole, (16353 + random.below(70)) | sign]);
	else if (kind < 15) words.set([random.word(), random.word() | whole, random.below(0x8000) | sign]);
	else if (kind === 15) words.set([0, 0, sign]);
	else if (kind === 16) words.set([0, 0x80000000, 0x7fff | sign]);
	else if (kind === 17) words.set([random.word(), random.word() | 0x80000000, 0x7fff | sign]);
	else if (kind === 18) words.set([random.word(), random.word() & 0x7fffffff, sign]);
	else words.set([0, 0x80000000, 16383 | sign]);
}

/** What the data page holds before every case. */
export function pattern(): Uint32Array {
	const random = new Random("data page");
	const words = new Uint32Array(PAGE / 4);
	for (let at = 0; at < words.length; at += 8) interesting(random, words.subarray(at, at + 8));
	return words;
}
const PATTERN = pattern();

const USES_STACK = /^(PUSH|POP|CALL|RET|LEAVE)/;

/** The `n`-th state that an encoding starts from. */
export function state(encoding: Encoding, n: number, into: Uint32Array): void {
	const { instance, address, bytes } = encoding;
	const { family } = instance.form;
	const random = new Random(`${encoding.name} ${bytes.join()} ${n}`);
	into.fill(0);
	const register = (number: number, value: number): void => into.set([value, value < 0 ? 0xffffffff : 0], number * 2);
	for (let r = 0; r < 16; r++) general(random, into, r);
	if (/^I?DIV$/.test(family.name) && random.chance(70))
		into.set(random.chance(50) ? [0, 0] : [random.below(64), 0], RDX * 2);
	if (USES_STACK.test(family.name)) {
		register(RSP, DATA + 0x500 + random.below(64) * 8 + (random.chance(10) ? random.below(8) : 0));
		register(RBP, DATA + 0x500 + random.below(64) * 8);
	}
	const repeats = family.repeat === true;
	if (repeats) {
		register(RCX, random.below(20));
		register(RSI, DATA + 0x400 + random.below(0x100));
		register(RDI, DATA + 0x900 + random.below(0x100));
		if (bytes.includes(0x67)) for (const r of [RCX, RSI, RDI]) into[r * 2 + 1] = random.word();
	}
	if (/^XLAT/.test(family.name)) register(RBX, DATA + 0x300 + random.below(256));
	if (/^V?MASKMOV(Q|DQU)$/.test(family.name)) register(RDI, DATA + 0x300 + random.below(256));
	const decoded = decoder.decode(Uint8Array.from(bytes), 0, bytes.length, 64);
	let target = address?.target ?? 0;
	if (address) {
		// A locked access across cache lines is refused by some systems.
		const locked = bytes[0] === 0xf0 || /^(XCHG|CMPXCHG\d+B)$/.test(family.name);
		const aligned = locked || random.chance(80) ? 63 : 0;
		if (target === 0) target = DATA + 0x300 + (random.below(0x800) & ~aligned);
		if (BIT_OFFSET.test(family.name) && instance.operands[1]?.kind === "reg")
			register(decoded.reg, random.below(0x1000) - 0x800);
		if (instance.form.options.vsib) {
			const wide = /GATHERQ/.test(family.name);
			for (let lane = 0; lane < 8; lane++) {
				const value = wide && lane & 1 ? 0 : random.below(40);
				into[STATE.ymm + address.index * 8 + lane] = value;
			}
			if (address.base >= 0) register(address.base, target - address.displacement);
		} else if (address.base >= 0) {
			const { base, index, scale, displacement, short } = address;
			if (index >= 0 && (base === RSP || base === RBP)) register(index, random.below(16));
			const part = index < 0 ? 0n : (word64(into, index) << BigInt(scale)) & (short ? 0xffff_ffffn : -1n);
			const value = BigInt(target - displacement) - part;
			into[base * 2] = Number(value & 0xffff_ffffn);
			into[base * 2 + 1] = short ? random.word() : Number((value >> 32n) & 0xffff_ffffn);
		}
		if (/^CMPXCHG/.test(family.name) && random.chance(50)) {
			const at = (target - DATA) & ~3;
			if (address.base !== RAX && address.index !== RAX) into.set([PATTERN[at / 4]!, PATTERN[at / 4 + 1]!], RAX * 2);
			if (/16B/.test(family.name) && address.base !== RDX && address.index !== RDX)
				into.set([PATTERN[at / 4 + 2]!, PATTERN[at / 4 + 3]!], RDX * 2);
			else if (/8B/.test(family.name) && address.base !== RDX && address.index !== RDX)
				into[RDX * 2] = PATTERN[at / 4 + 1]!;
		}
	}
	into[STATE.flags] = (random.word() & (repeats && random.chance(30) ? 0xcd5 : 0x8d5)) | 0x202;
	const quiet = random.chance(70);
	into[STATE.mxcsr] = quiet
		? 0x1f80 | random.of([0, 0x20, 0x3f])
		: random.word() & (random.chance(60) ? 0xe07f : 0xffff);
	if (!quiet && random.chance(60)) into[STATE.mxcsr]! |= 0x1f80;
	into[STATE.fcw] = 0x37f;
	if (random.chance(50))
		into[STATE.fcw] = 0x40 | (random.word() & 0xf00) | (random.chance(80) ? 0x3f : random.below(64));
	into[STATE.fsw] =
		(random.below(8) << 11) | (random.word() & 0x4700) | (random.chance(30) ? random.below(64) & ~0x40 : 0);
	// Status says of what is unmasked only what it cannot help saying.
	into[STATE.fsw]! &= ~(~into[STATE.fcw]! & 0x3f);
	into[STATE.tags] = random.chance(60) ? 0xff : random.below(256);
	for (let r = 0; r < 8; r++) extended(random, into.subarray(STATE.st + r * 4, STATE.st + r * 4 + 3));
	for (let r = 0; r < 16; r++)
		if (!(instance.form.options.vsib && r === address?.index))
			interesting(random, into.subarray(STATE.ymm + r * 8, STATE.ymm + r * 8 + 8));
	into[STATE.undefined] = undefinedMask(decoded, into[RCX * 2]! & 0xff);
}

function word64(state: Uint32Array, n: number): bigint {
	return (BigInt(state[n * 2 + 1]!) << 32n) | BigInt(state[n * 2]!);
}

/** The hash of a state afterwards and the data page; host.c has the same. */
export function hash(words: Uint32Array, seed = 0): number {
	let h = seed;
	for (const word of words) {
		h = Math.imul(h ^ word, 0x9e3779b1);
		h ^= h >>> 15;
	}
	return h >>> 0;
}
