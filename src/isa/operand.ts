import { assert } from "../base/errors.ts";
import type { Width } from "./expr.ts";
import { SEGMENT } from "./registers.ts";

/** Operand size of an instruction, bits. */
export type OperandSize = 16 | 32 | 64;

/**
 * Operand codes of SDM 2 appendix A.2, as far as the integer set needs them, plus:
 * R and M restrict ModRM to a register or to memory; Z is the register in the low three bits of the opcode;
 * sIb is an immediate byte sign-extended to the operand size; RvMw is a register of operand size or a 16-bit memory word,
 * RyMb, RyMw and RyMd a register of 32 or 64 bits or 8, 16 or 32 of memory,
 * UdqMd a vector register or 32 bits of memory.
 * Vector operands have the widths of the appendix: those of x, ps and pd go by VEX.L, dq is 128 and qq 256 bits.
 * X and Y are the memory of string instructions at DS:rSI and ES:rDI; their meanings are helpers.
 * Fixed registers and the constant 1 are spelled as in the manual; so are ST(0), as ST, and ST(i), as STi.
 */
export type OperandCode = string;

export type OperandKind =
	/** ModRM r/m: register or memory. */
	| "rm"
	/** ModRM reg. */
	| "reg"
	/** Register in the opcode's low three bits. */
	| "opcodeReg"
	| "immediate"
	/** Branch displacement, relative to the next instruction. */
	| "relative"
	/** Immediate far pointer ptr16:16 or ptr16:32. */
	| "farPointer"
	/** Memory at an immediate offset (A0–A3). */
	| "offset"
	/** ModRM reg as a segment, control or debug register. */
	| "sreg"
	| "creg"
	| "dreg"
	/** VEX.vvvv: a vector register (H) or a general one (B). */
	| "vvvv"
	/** Vector register in the upper half of an immediate byte (L). */
	| "selector"
	/** A general register that the encoding implies. */
	| "fixed"
	/** A segment register that the encoding implies: `register` is its number. */
	| "fixedSegment"
	/** Memory of a string instruction. */
	| "string"
	/** The top of the x87 stack, and the stack register that ModRM r/m counts from there. */
	| "st0"
	| "sti"
	| "one";

export interface Operand {
	readonly code: OperandCode;
	readonly kind: OperandKind;
	/** Which registers it may be. */
	readonly bank: "general" | "vector" | "mmx";
	/** Width in bits at this operand size; 0 where memory is only addressed (M) or for a far pointer in memory. */
	readonly width: Width | 0;
	/** 2: an operand of 256 bits, handled in halves of 128. */
	readonly halves: 1 | 2;
	/** Bytes of the immediate, 0 if none. */
	readonly immediateBytes: number;
	/** Sign-extended to the operand size. */
	readonly signed: boolean;
	/** For `fixed` and `fixedSegment`: register number. */
	readonly register: number;
	/** What ModRM must be: a register, memory, or either. */
	readonly mod: "any" | "register" | "memory";
}

const FIXED: Record<string, [number, "b" | "w" | "v" | "z"]> = {
	AL: [0, "b"],
	CL: [1, "b"],
	AX: [0, "w"],
	DX: [2, "w"],
	rAX: [0, "v"],
	eAX: [0, "z"],
};

/** Segment registers that opcodes imply (06, 0E, 16, 1E, 0F A0, 0F A8), as operand codes. */
const IMPLIED_SEGMENT: Record<string, number> = {
	ES: SEGMENT.es,
	CS: SEGMENT.cs,
	SS: SEGMENT.ss,
	DS: SEGMENT.ds,
	FS: SEGMENT.fs,
	GS: SEGMENT.gs,
};

function widthOf(letter: string, size: OperandSize): Width | 0 {
	switch (letter) {
		case "b":
			return 8;
		case "w":
			return 16;
		case "d":
		case "ss":
			return 32;
		case "q":
		case "sd":
			return 64;
		case "x":
		case "ps":
		case "pd":
		case "dq":
		case "qq":
			return 128;
		case "v":
			return size;
		case "z":
			return size === 16 ? 16 : 32;
		case "y":
			return size === 64 ? 64 : 32;
		default:
			return 0;
	}
}

/** Whether the meaning of `code` depends on the operand size. */
export function isSized(code: OperandCode): boolean {
	return /[vzyp]$|^sIb$|^[re]AX$|^J|^Ma$|^R[vy]M[bwd]$/.test(code);
}

/** Bits of a vector: what VEX.L chooses; 128 without VEX. */
export type VectorLength = 128 | 256;

/** What has been read so far: few of many thousand operands differ. */
const known = new Map<string, Operand>();

/** Reads an operand code for one operand size; `rm` tells where a ModRM operand lies. */
export function parseOperand(
	code: OperandCode,
	size: OperandSize,
	rm?: "register" | "memory" | "none",
	length: VectorLength = 128,
): Operand {
	const key = `${code} ${size} ${rm === "memory"} ${length}`;
	let operand = known.get(key);
	if (!operand) {
		operand = readOperand(code, size, rm, length);
		known.set(key, operand);
	}
	return operand;
}

function readOperand(
	code: OperandCode,
	size: OperandSize,
	rm: "register" | "memory" | "none" | undefined,
	length: VectorLength,
): Operand {
	const make = (kind: OperandKind, width: Width | 0, rest: Partial<Operand> = {}): Operand => ({
		code,
		kind,
		bank: "general",
		width,
		halves: /^.(qq|x|ps|pd)$/.test(code) && (length === 256 || code.endsWith("qq")) ? 2 : 1,
		immediateBytes: 0,
		signed: false,
		register: 0,
		mod: "any",
		...rest,
	});
	const fixed = FIXED[code];
	if (fixed) return make("fixed", widthOf(fixed[1], size), { register: fixed[0] });
	if (code === "1") return make("one", 8);
	if (code === "ST") return make("st0", 0);
	if (code === "STi") return make("sti", 0, { mod: "register" });
	const segment = IMPLIED_SEGMENT[code];
	if (segment !== undefined) return make("fixedSegment", 16, { register: segment });
	if (code === "RvMw") return make("rm", rm === "memory" ? 16 : size);
	if (code === "XMM0") return make("fixed", 128, { bank: "vector" });
	const split = /^(Ry|Udq)M([bwdq])$/.exec(code);
	if (split) {
		const width = widthOf(rm === "memory" ? (split[2] ?? "") : split[1] === "Ry" ? "y" : "dq", size);
		return make("rm", width, { bank: split[1] === "Ry" ? "general" : "vector" });
	}
	if (code === "sIb") return make("immediate", size, { immediateBytes: 1, signed: true });
	const letter = code[0] ?? "";
	const width = widthOf(code.slice(1), size);
	switch (letter) {
		case "E":
			return make("rm", width);
		case "M":
			return make("rm", width, { mod: "memory" });
		case "R":
			return make("rm", width, { mod: "register" });
		case "V":
			return make("reg", width, { bank: "vector" });
		case "W":
			return make("rm", width, { bank: "vector" });
		case "U":
			return make("rm", width, { bank: "vector", mod: "register" });
		case "H":
			return make("vvvv", width, { bank: "vector" });
		case "L":
			return make("selector", width, { bank: "vector", immediateBytes: 1 });
		case "P":
			return make("reg", width, { bank: "mmx" });
		case "Q":
			return make("rm", width, { bank: "mmx" });
		case "N":
			return make("rm", width, { bank: "mmx", mod: "register" });
		case "B":
			return make("vvvv", width);
		case "G":
			return make("reg", width);
		case "Z":
			return make("opcodeReg", width);
		case "I": {
			const bytes = code === "Iz" ? (size === 16 ? 2 : 4) : width / 8;
			return make("immediate", code === "Iz" ? size : width, { immediateBytes: bytes, signed: code === "Iz" });
		}
		case "J":
			return make("relative", size, { immediateBytes: code === "Jb" ? 1 : size === 16 ? 2 : 4, signed: true });
		case "A":
			return make("farPointer", 0, { immediateBytes: size === 16 ? 4 : 6 });
		case "O":
			return make("offset", width);
		case "X":
		case "Y":
			return make("string", width);
		case "S":
			return make("sreg", 16);
		case "C":
			return make("creg", width || 32, { mod: "register" });
		case "D":
			return make("dreg", width || 32, { mod: "register" });
	}
	assert(false, `unknown operand code ${code}`);
}
