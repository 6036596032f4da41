import { assert } from "../base/errors.ts";

/** Opcode maps: one-byte, 0F, 0F 38, 0F 3A. */
export type OpcodeMap = 0 | 1 | 2 | 3;

/** An encoding in SDM notation, taken apart. */
export interface Encoding {
	readonly text: string;
	/** Mandatory prefix: 0 none required, 0x66, 0xF3, 0xF2; -1: none of them allowed (NP); -2: neither F2 nor F3 (NFx). */
	readonly prefix: 0 | 0x66 | 0xf3 | 0xf2 | -1 | -2;
	/** REX.W belongs to the opcode. */
	readonly rexW: boolean;
	readonly map: OpcodeMap;
	readonly opcode: number;
	/** The low three bits of the opcode name a register. */
	readonly plusRegister: boolean;
	/** `/r`, a digit `/0`–`/7`, or no ModRM. */
	readonly modrm: "r" | number | undefined;
	/** A whole ModRM byte belongs to the opcode (0F 01 D0). */
	readonly exact: number | undefined;
	readonly vex: Vex | undefined;
}

/** What a VEX prefix must say (SDM 2 3.1.1.2); `undefined`: ignored, or for W also the operand size. */
export interface Vex {
	readonly l: 0 | 1 | undefined;
	readonly w: 0 | 1 | undefined;
}

const VEX_L: Readonly<Record<string, 0 | 1 | undefined>> = { "128": 0, LZ: 0, L0: 0, "256": 1, L1: 1, LIG: undefined };
const PREFIXES: Readonly<Record<string, Encoding["prefix"]>> = { NP: -1, NFx: -2, "66": 0x66, F3: 0xf3, F2: 0xf2 };
const VEX_MAPS = ["0F", "0F38", "0F3A"];

/** Where the opcode byte stands in the text of an encoding, behind prefixes and the name of the map. */
function opcodeAt(text: string): number {
	let at = 0;
	const skip = (word: string): boolean => {
		if (!text.startsWith(word, at)) return false;
		at += word.length;
		return true;
	};
	if (text.startsWith("VEX.")) return text.indexOf(" ") + 1;
	if (!skip("NP ") && !skip("NFx ") && text.slice(0, 2) in PREFIXES && isByteAt(text, 3)) at = 3;
	skip("REX.W ");
	if (isByteAt(text, at + 3) && skip("0F ") && isByteAt(text, at + 3) && !skip("38 ")) skip("3A ");
	return at;
}

/** Whether two digits, or the name of REX, stand there: not `/r`, an immediate, or the end. */
function isByteAt(text: string, at: number): boolean {
	const code = text.charCodeAt(at);
	return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a);
}

function mapOf(text: string, at: number): OpcodeMap {
	if (text.startsWith("VEX.")) return text.includes(".0F38") ? 2 : text.includes(".0F3A") ? 3 : 1;
	return text.startsWith("0F 38 ", at - 6)
		? 2
		: text.startsWith("0F 3A ", at - 6)
			? 3
			: text.startsWith("0F ", at - 3)
				? 1
				: 0;
}

/** Opcode maps of VEX encodings follow those without. */
export const VEX_MAP = 4;

/**
 * The opcodes of an encoding, each as map * 256 + byte with {@link VEX_MAP} added to the map of VEX: without taking the rest apart,
 * since an index of opcodes looks at every encoding.
 */
export function opcodesOf(text: string): { readonly first: number; readonly count: number } {
	const at = opcodeAt(text);
	const map = mapOf(text, at) + (text.startsWith("VEX.") ? VEX_MAP : 0);
	const byte = Number.parseInt(text.slice(at, at + 2), 16);
	return { first: map * 256 + byte, count: text.startsWith("+r", at + 2) ? 8 : 1 };
}
/** Reads `VEX.128.66.0F.WIG`; without W, the operand size goes by it (in 64-bit mode) or it is ignored. */
function parseVex(text: string): Pick<Encoding, "prefix" | "vex"> {
	const words = text.split(".").slice(1);
	const length = words.shift() ?? "";
	assert(length in VEX_L, `length in "${text}"`);
	const prefix = PREFIXES[words[0] ?? ""];
	if (prefix !== undefined) words.shift();
	assert(VEX_MAPS.includes(words.shift() ?? ""), `opcode map in "${text}"`);
	const w = words.shift();
	assert((w === undefined || /^W(0|1|IG)$/.test(w)) && words.length === 0, `W in "${text}"`);
	return { prefix: prefix ?? -1, vex: { l: VEX_L[length], w: w === "W0" ? 0 : w === "W1" ? 1 : undefined } };
}

/**
 * Reads `80 /2 ib`, `F3 0F B8 /r`, `NP 0F 0D /1`, `REX.W 0F C7 /1`, `B8+r iv`, `0F 01 D0`, `VEX.128.66.0F.WIG FE /r`.
 * Immediate notes (`ib`, `iz`, `cb`, `is4` …) are for the reader: operand codes decide.
 */
export function parseEncoding(text: string): Encoding {
	const at = opcodeAt(text);
	const before = text.slice(0, at).split(" ");
	const [opcode = "", ...words] = text.slice(at).split(" ");
	const match = /^([0-9A-F]{2})(\+r)?$/.exec(opcode);
	assert(match, `opcode in "${text}"`);
	const [first = ""] = before;
	const legacy: Pick<Encoding, "prefix" | "vex"> = { prefix: PREFIXES[first] ?? 0, vex: undefined };
	const { prefix, vex } = first.startsWith("VEX.") ? parseVex(first) : legacy;
	let modrm: Encoding["modrm"];
	let exact: number | undefined;
	for (const word of words) {
		if (word === "/r") modrm = "r";
		else if (/^\/[0-7]$/.test(word)) modrm = Number(word[1]);
		else if (/^[0-9A-F]{2}$/.test(word)) exact = Number.parseInt(word, 16);
		else assert(/^(i[bwdzqv]|is4|c[bwdz]|m[oz]|ap)$/.test(word), `"${word}" in "${text}"`);
	}
	return {
		text,
		prefix,
		rexW: before.includes("REX.W"),
		map: mapOf(text, at),
		opcode: Number.parseInt(match[1] ?? "", 16),
		plusRegister: match[2] !== undefined,
		modrm,
		exact,
		vex,
	};
}
