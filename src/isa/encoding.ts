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
const VEX_PREFIX = { NP: -1, "66": 0x66, F3: 0xf3, F2: 0xf2 } as const;
const VEX_MAPS: Readonly<Record<string, OpcodeMap>> = { "0F": 1, "0F38": 2, "0F3A": 3 };

/** Reads `VEX.128.66.0F.WIG`; without W, the operand size goes by it (in 64-bit mode) or it is ignored. */
function parseVex(text: string): Pick<Encoding, "prefix" | "map" | "vex"> {
	const words = text.split(".").slice(1);
	const length = words.shift() ?? "";
	assert(length in VEX_L, `length in "${text}"`);
	const prefix = (words[0] ?? "") in VEX_PREFIX ? VEX_PREFIX[words.shift() as keyof typeof VEX_PREFIX] : -1;
	const map = VEX_MAPS[words.shift() ?? ""];
	assert(map !== undefined, `opcode map in "${text}"`);
	const w = words.shift();
	assert((w === undefined || /^W(0|1|IG)$/.test(w)) && words.length === 0, `W in "${text}"`);
	return { prefix, map, vex: { l: VEX_L[length], w: w === "W0" ? 0 : w === "W1" ? 1 : undefined } };
}

/**
 * Reads `80 /2 ib`, `F3 0F B8 /r`, `NP 0F 0D /1`, `REX.W 0F C7 /1`, `B8+r iv`, `0F 01 D0`, `VEX.128.66.0F.WIG FE /r`.
 * Immediate notes (`ib`, `iz`, `cb`, `is4` …) are for the reader: operand codes decide.
 */
export function parseEncoding(text: string): Encoding {
	const words: string[] = text.split(" ");
	let prefix: Encoding["prefix"] = 0;
	let vex: Vex | undefined;
	let map: OpcodeMap = 0;
	if (words[0]?.startsWith("VEX.")) {
		({ prefix, map, vex } = parseVex(words.shift() ?? ""));
	} else if (words[0] === "NP" || words[0] === "NFx") {
		prefix = words[0] === "NP" ? -1 : -2;
		words.shift();
	} else if (["66", "F3", "F2"].includes(words[0] ?? "") && /^[0-9A-F]{2}$/.test(words[1] ?? "")) {
		prefix = Number.parseInt(words.shift() ?? "", 16) as 0x66 | 0xf3 | 0xf2;
	}
	const rexW = words[0] === "REX.W";
	if (rexW) words.shift();
	if (!vex && words[0] === "0F" && words.length > 1) {
		words.shift();
		map = 1;
		const [second, third] = [words[0] as string | undefined, words[1]];
		if ((second === "38" || second === "3A") && third !== undefined && /^[0-9A-F]{2}/.test(third)) {
			words.shift();
			map = second === "38" ? 2 : 3;
		}
	}
	const first = words.shift() ?? "";
	const match = /^([0-9A-F]{2})(\+r)?$/.exec(first);
	assert(match, `opcode in "${text}"`);
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
		rexW,
		map,
		opcode: Number.parseInt(match[1] ?? "", 16),
		plusRegister: match[2] !== undefined,
		modrm,
		exact,
		vex,
	};
}
