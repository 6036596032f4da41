import { type MemoryReader, wordIn } from "./symbols.ts";

/** A CALL or INT that ends where a return address points. */
export interface CallBefore {
	/** `interrupt`: return pops flags as well; `far`: the code segment as well. */
	readonly kind: "near" | "far" | "interrupt";
	/** Bytes of IP on the stack. */
	readonly width: 2 | 4 | 8;
	/** Offset in the code segment of what was called, where the instruction says it. */
	readonly target?: bigint;
}

/** Longest form looked for: FF /2 with prefix, SIB and displacement. */
const LONGEST = 8;
const REL = 0xe8;
const FAR = 0x9a;
const INDIRECT = 0xff;
const INT = 0xcd;
const OPERAND_SIZE = 0x66;
const [NEAR_INDIRECT, FAR_INDIRECT] = [2, 3];

/**
 * The call behind which an address lies, decoded backwards (SDM 2A, CALL, INT): code that happens to look like one is taken for it.
 * @param codeBase linear base of the code segment
 * @param offset of the return address in it
 * @param bits size of code: 16, 32 or 64
 */
export function callBefore(
	read: MemoryReader,
	codeBase: bigint,
	offset: bigint,
	bits: 16 | 32 | 64,
): CallBefore | undefined {
	const bytes = bytesBefore(read, codeBase + offset, offset);
	const at = (back: number): number => bytes[bytes.length - back] ?? -1;
	const number = (back: number, size: number): bigint =>
		BigInt.asIntN(size * 8, wordIn(bytes.subarray(bytes.length - back, bytes.length - back + size)));
	const full = bits === 64 ? 8 : bits === 32 ? 4 : 2;
	const target = (distance: bigint, size: number): bigint => BigInt.asUintN(size * 8, offset + distance);
	if (bits !== 16 && at(5) === REL) return { kind: "near", width: full, target: target(number(4, 4), full) };
	if (bits === 16 && at(6) === OPERAND_SIZE && at(5) === REL)
		return { kind: "near", width: 4, target: target(number(4, 4), 4) };
	if (bits === 16 && at(3) === REL) return { kind: "near", width: 2, target: target(number(2, 2), 2) };
	if (bits === 32 && at(7) === FAR) return { kind: "far", width: 4 };
	if (bits === 16 && at(5) === FAR) return { kind: "far", width: 2 };
	for (let back = 2; back <= LONGEST - 1; back++) {
		if (at(back) !== INDIRECT) continue;
		const kind = (at(back - 1) >> 3) & 7;
		if (kind !== NEAR_INDIRECT && kind !== FAR_INDIRECT) continue;
		const modRm = at(back - 1);
		if (kind === FAR_INDIRECT && modRm >= 0xc0) continue;
		const length = 1 + (bits === 16 ? length16(modRm) : length32(modRm, at(back - 2)));
		if (length !== back) continue;
		const wide = bits === 16 && at(back + 1) === OPERAND_SIZE;
		return { kind: kind === NEAR_INDIRECT ? "near" : "far", width: wide ? 4 : full };
	}
	return bits === 16 && at(2) === INT ? { kind: "interrupt", width: 2 } : undefined;
}

/** As many bytes before an address as there are, where its page begins or a segment does. */
function bytesBefore(read: MemoryReader, linear: bigint, offset: bigint): Uint8Array {
	const most = offset < BigInt(LONGEST) ? Number(offset) : LONGEST;
	if (most === 0) return new Uint8Array();
	const all = read(linear - BigInt(most), most);
	if (all !== undefined) return all;
	const inPage = Math.min(Number(linear & 0xfffn), most);
	return (inPage > 0 ? read(linear - BigInt(inPage), inPage) : undefined) ?? new Uint8Array();
}

/** Bytes of ModRM and what follows it, with 16-bit addresses (SDM 2A, table 2-1). */
function length16(modRm: number): number {
	const mod = modRm >> 6;
	if (mod === 3) return 1;
	if (mod === 0) return (modRm & 7) === 6 ? 3 : 1;
	return mod === 1 ? 2 : 3;
}

/** The same with 32-bit and 64-bit addresses (tables 2-2 and 2-3). */
function length32(modRm: number, sib: number): number {
	const mod = modRm >> 6;
	const rm = modRm & 7;
	if (mod === 3) return 1;
	const hasSib = rm === 4;
	const none = mod === 0 && (rm === 5 || (hasSib && (sib & 7) === 5));
	return 1 + (hasSib ? 1 : 0) + (mod === 1 ? 1 : mod === 2 || none ? 4 : 0);
}
