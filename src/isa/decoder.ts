import { VEX_MAP } from "./encoding.ts";
import type { Feature } from "./features.ts";
import { exactIndex, formIndex, type OpcodeSet, VEX_256 } from "./opcode-set.ts";
import type { Form, Instance, InstructionTable } from "./table.ts";

/** Longest instruction, bytes (SDM 2 2.3.11). */
export const MAX_LENGTH = 15;

/** {@link Decoded.base} of an address relative to the next instruction. */
export const RIP_RELATIVE = -2;

/** What became of a decoding. */
export type DecodeStatus =
	| "ok"
	/** More bytes are needed than were there. */
	| "truncated"
	/** No such instruction: #UD. */
	| "undefined"
	/** Longer than 15 bytes: #GP(0). */
	| "tooLong";

/** One decoded instruction. The decoder reuses a single object: copy what must last. */
export class Decoded {
	status: DecodeStatus = "undefined";
	/** Bytes; with status `undefined`, up to where it was known. */
	length = 0;
	/** Where status is `ok`. */
	instance: Instance | undefined;
	form: Form | undefined;
	/** Address size, bits. */
	addressSize: 16 | 32 | 64 = 32;
	operandSize: 16 | 32 | 64 = 32;
	lock = false;
	/** 0, 0xF2 or 0xF3: the last of them. */
	repeat = 0;
	/** Segment of the memory operand: 0..5. */
	segment = 3;
	/** ModRM.reg with REX.R. */
	reg = 0;
	/** ModRM.rm with REX.B, or the register in the opcode. */
	rm = 0;
	mod = 0;
	/** The whole byte, 0 without one. */
	modrm = 0;
	/** Register numbers, -1 for none; the base may be {@link RIP_RELATIVE}. */
	base = -1;
	index = -1;
	/** log2 of the factor. */
	scale = 0;
	displacement = 0;
	/** First immediate, sign-extended where its operand says so; the low half of a 64-bit one. */
	immediate = 0;
	/** Upper half of a 64-bit immediate or memory offset. */
	immediateHigh = 0;
	/** Second immediate, or the selector of a far pointer. */
	immediate2 = 0;
	/** Register that VEX.vvvv names. */
	vvvv = 0;
	/** A REX prefix makes byte registers 4..7 SPL … DIL. */
	rex = 0;
}

const BASE_16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX_16 = [6, 7, 6, 7, -1, -1, -1, -1] as const;

/** Turns bytes into instructions by the encodings of an {@link InstructionTable}. */
export class Decoder {
	readonly out = new Decoded();
	private readonly table: InstructionTable;
	private readonly features: ReadonlySet<Feature> | undefined;
	/** Outside of and inside 64-bit mode, once there was code for them. */
	private legacy: OpcodeSet | undefined;
	private long: OpcodeSet | undefined;
	private bytes: Uint8Array = new Uint8Array(0);
	private at = 0;
	private end = 0;

	/** @param features those that exist; absent: all. An instruction without its feature is undefined, or what it was before. */
	constructor(table: InstructionTable, features?: ReadonlySet<Feature>) {
		this.table = table;
		this.features = features;
	}

	private opcodes(long: boolean): OpcodeSet {
		if (long) this.long ??= this.table.opcodes(true, this.features);
		else this.legacy ??= this.table.opcodes(false, this.features);
		return (long ? this.long : this.legacy)!;
	}

	/**
	 * Decodes at `bytes[start]`, at most up to `end`, for code of `codeSize` bits (64: 64-bit mode).
	 * @returns {@link out}.
	 */
	decode(bytes: Uint8Array, start: number, end: number, codeSize: 16 | 32 | 64): Decoded {
		const out = this.out;
		this.bytes = bytes;
		this.at = start;
		this.end = Math.min(end, start + MAX_LENGTH);
		const status = this.run(codeSize);
		out.length = this.at - start;
		if (status === "truncated" && end - start >= MAX_LENGTH) {
			out.status = "tooLong";
			out.length = MAX_LENGTH;
		} else out.status = status;
		return out;
	}

	private run(codeSize: 16 | 32 | 64): DecodeStatus {
		const out = this.out;
		const { bytes, end } = this;
		let operandOverride = false;
		let addressOverride = false;
		let rex = 0;
		out.lock = false;
		out.repeat = 0;
		out.instance = undefined;
		out.form = undefined;
		let segment = -1;
		let opcode: number;
		for (;;) {
			if (this.at >= end) return "truncated";
			opcode = bytes[this.at++]!;
			if (opcode === 0x66) operandOverride = true;
			else if (opcode === 0x67) addressOverride = true;
			else if (opcode === 0xf0) out.lock = true;
			else if (opcode === 0xf2 || opcode === 0xf3) out.repeat = opcode;
			else if ((opcode & 0xe7) === 0x26) {
				if (codeSize !== 64) segment = (opcode >> 3) & 3;
			} else if (opcode === 0x64 || opcode === 0x65) segment = opcode - 0x60;
			else if (codeSize === 64 && (opcode & 0xf0) === 0x40) {
				rex = opcode;
				continue;
			} else break;
			rex = 0;
		}
		out.modrm = 0;
		let map = 0;
		let vex = -1;
		if ((opcode === 0xc4 || opcode === 0xc5) && (codeSize === 64 || (this.at < end && bytes[this.at]! >= 0xc0))) {
			if (this.at + (opcode === 0xc4 ? 3 : 2) > end) return "truncated";
			if (rex !== 0 || operandOverride || out.repeat !== 0 || out.lock) return "undefined";
			const second = bytes[this.at++]!;
			const last = opcode === 0xc4 ? bytes[this.at++]! : second & 0x7f;
			// R, X and B are stored inverted; outside 64-bit mode there are eight registers.
			rex = codeSize === 64 ? 0x40 | ((~second >> 5) & (opcode === 0xc4 ? 7 : 4)) | ((last >> 4) & 8) : 0;
			map = VEX_MAP + (opcode === 0xc4 ? second & 0x1f : 1);
			if (map <= VEX_MAP || map > VEX_MAP + 3) return "undefined";
			out.vvvv = (~last >> 3) & 15;
			vex = last;
			opcode = bytes[this.at++]!;
		} else if (opcode === 0x0f) {
			if (this.at >= end) return "truncated";
			opcode = bytes[this.at++]!;
			map = 1;
			if (opcode === 0x38 || opcode === 0x3a) {
				map = opcode === 0x38 ? 2 : 3;
				if (this.at >= end) return "truncated";
				opcode = bytes[this.at++]!;
			}
		}
		out.rex = rex;
		const slot = this.opcodes(codeSize === 64).slot(map, opcode);
		if (!slot) return "undefined";
		// VEX.pp counts as prefix classes do: none, 66, F3, F2.
		const prefixClass =
			vex >= 0 ? vex & 3 : out.repeat === 0xf3 ? 2 : out.repeat === 0xf2 ? 3 : operandOverride ? 1 : 0;
		let form: Form | undefined;
		let mod = 3;
		let rm = 0;
		const wide = vex >= 0 ? ((vex & 0x80) >> 1) + (vex & 4 ? VEX_256 : 0) : (rex & 8) << 3;
		if (slot.hasModrm) {
			if (this.at >= end) return "truncated";
			const modrm = bytes[this.at++]!;
			out.modrm = modrm;
			mod = modrm >> 6;
			out.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
			rm = modrm & 7;
			const reg = (mod === 3 ? 8 : 0) + ((modrm >> 3) & 7);
			form = slot.exact?.get(exactIndex(prefixClass, modrm)) ?? slot.forms[formIndex(prefixClass, reg, wide)];
		} else {
			form = slot.forms[formIndex(prefixClass, (rex & 1) << 3, wide)];
			out.reg = 0;
			rm = opcode & 7;
		}
		if (!form) return "undefined";
		const { options } = form;
		if (vex >= 0) {
			// All four bits, outside 64-bit mode too.
			if (!form.usesVvvv && out.vvvv !== 0) return "undefined";
			if (codeSize !== 64) out.vvvv &= 7;
		}
		if (out.reg > 7 && form.registers !== "general") {
			if (form.registers !== "system") out.reg &= 7;
			else if (options.reg?.includes(out.reg) !== true) return "undefined";
		}
		out.mod = mod;
		const addressSize = codeSize === 64 ? (addressOverride ? 32 : 64) : (codeSize === 32) !== addressOverride ? 32 : 16;
		out.addressSize = addressSize;
		const size =
			codeSize === 64
				? rex & 8 || options.size64 === "f64"
					? 64
					: options.size64 === "d64"
						? operandOverride
							? 16
							: 64
						: operandOverride
							? 16
							: 32
				: (codeSize === 32) !== operandOverride
					? 32
					: 16;
		out.operandSize = size;
		const instance = form.instances[size]?.[slot.hasModrm && mod !== 3 && form.mod !== "register" ? 1 : 0];
		if (!instance) return "undefined";
		out.base = -1;
		out.index = -1;
		out.scale = 0;
		out.displacement = 0;
		let stackBased = false;
		if (slot.hasModrm && mod !== 3 && form.mod !== "register") {
			if (addressSize === 16) {
				if (mod === 0 && rm === 6) {
					if (!this.displacement16()) return "truncated";
				} else {
					out.base = BASE_16[rm]!;
					out.index = INDEX_16[rm]!;
					stackBased = rm === 2 || rm === 3 || rm === 6;
					if (mod === 1 && !this.displacement8()) return "truncated";
					if (mod === 2 && !this.displacement16()) return "truncated";
				}
			} else {
				let baseField = rm;
				if (rm === 4) {
					if (this.at >= end) return "truncated";
					const sib = bytes[this.at++]!;
					baseField = sib & 7;
					const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
					out.index = index === 4 && !options.vsib ? -1 : index;
					out.scale = out.index < 0 ? 0 : sib >> 6;
				}
				if (mod === 0 && baseField === 5) {
					if (!this.displacement32()) return "truncated";
					if (rm === 5 && codeSize === 64) out.base = RIP_RELATIVE;
				} else {
					out.base = baseField | ((rex & 1) << 3);
					stackBased = out.base === 4 || out.base === 5;
					if (mod === 1 && !this.displacement8()) return "truncated";
					if (mod === 2 && !this.displacement32()) return "truncated";
				}
			}
			rm = 0;
		}
		if (options.vsib && (addressSize === 16 || out.index < 0 || !distinct(out.reg, out.index, out.vvvv)))
			return "undefined";
		if (options.popsFirst && out.base === 4) out.displacement += size / 8;
		out.rm = form.mmxRm ? rm : rm | ((rex & 1) << 3);
		out.segment = segment >= 0 ? segment : stackBased ? 2 : 3;
		out.immediate = 0;
		out.immediateHigh = 0;
		out.immediate2 = 0;
		let first = true;
		for (const operand of instance.operands) {
			if (operand.kind === "offset") {
				if (this.at + addressSize / 8 > end) return "truncated";
				out.immediate = addressSize === 16 ? this.u16() : this.u32();
				if (addressSize === 64) out.immediateHigh = this.u32();
			}
			const count = operand.immediateBytes;
			if (count === 0) continue;
			if (this.at + count > end) return "truncated";
			if (operand.kind === "farPointer") {
				out.immediate = count === 4 ? this.u16() : this.u32();
				out.immediate2 = this.u16();
				continue;
			}
			let value: number;
			if (count === 1) value = operand.signed ? (bytes[this.at++]! << 24) >> 24 : bytes[this.at++]!;
			else if (count === 2) value = operand.signed ? (this.u16() << 16) >> 16 : this.u16();
			else value = operand.signed ? this.u32() | 0 : this.u32();
			if (operand.kind === "selector") value = (value >> 4) & (codeSize === 64 ? 15 : 7);
			if (first) {
				out.immediate = value;
				out.immediateHigh = count === 8 ? this.u32() : operand.signed ? value >> 31 : 0;
			} else out.immediate2 = value;
			first = false;
		}
		if (out.lock && !(form.family.lock && instance.rm === "memory" && this.lockable(instance))) return "undefined";
		out.form = form;
		out.instance = instance;
		return "ok";
	}

	/** LOCK wants the written operand in memory. */
	private lockable(instance: Instance): boolean {
		return instance.meaning.stores.length > 0 || instance.meaning.helper !== undefined;
	}

	private displacement8(): boolean {
		if (this.at >= this.end) return false;
		this.out.displacement = (this.bytes[this.at++]! << 24) >> 24;
		return true;
	}
	private displacement16(): boolean {
		if (this.at + 2 > this.end) return false;
		this.out.displacement = (this.u16() << 16) >> 16;
		return true;
	}
	private displacement32(): boolean {
		if (this.at + 4 > this.end) return false;
		this.out.displacement = this.u32() | 0;
		return true;
	}
	private u16(): number {
		const { bytes, at } = this;
		this.at += 2;
		return bytes[at]! | (bytes[at + 1]! << 8);
	}
	private u32(): number {
		const { bytes, at } = this;
		this.at += 4;
		return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
	}
}

function distinct(a: number, b: number, c: number): boolean {
	return a !== b && a !== c && b !== c;
}

/** Name of a byte register by number, without REX: AL … BH. */
export function isHighByte(register: number, rex: number): boolean {
	return rex === 0 && register >= 4 && register < 8;
}
