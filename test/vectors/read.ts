import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";

/** Where the memory of every case lies (FORMAT.md, "The machine of every case"): linear addresses. */
export const layout = {
	data: { start: 0x8000, end: 0xa000 },
	readonly: { start: 0xa000, end: 0xb000 },
	code: { start: 0xc000, end: 0xd000 },
	codeSelector: 0x23,
	dataSelector: 0x2b,
} as const;

/** Bytes at a linear address. */
export interface MemoryRun {
	readonly address: number;
	readonly bytes: Uint8Array;
}

/** Registers before or after an instruction. */
export interface VectorState {
	/** EAX ECX EDX EBX ESP EBP ESI EDI, unsigned. */
	readonly registers: Uint32Array;
	readonly eip: number;
	/** Afterwards only the bits 0x244fd5 count. */
	readonly eflags: number;
	/** ES CS SS DS FS GS. */
	readonly segments: readonly number[];
}

export interface VectorFault {
	readonly vector: number;
	/** 0 where the exception has none. */
	readonly errorCode: number;
	/** CR2 of a page fault. */
	readonly address?: number;
}

/** One instruction and what the processor did with it. */
export interface Vector {
	/** The form, as `81 /0 iz`. */
	readonly form: string;
	/** Number of the case in its file. */
	readonly index: number;
	readonly bytes: Uint8Array;
	readonly before: VectorState;
	/** Memory that differs from {@link initialMemory} before; a later run wins. */
	readonly patches: readonly MemoryRun[];
	readonly after: VectorState;
	/** Data memory the instruction changed; nothing else in it changed. */
	readonly changes: readonly MemoryRun[];
	readonly fault: VectorFault | undefined;
}

export interface VectorGroup {
	readonly form: string;
	readonly vectors: readonly Vector[];
}

export interface VectorFile {
	/** The processor the cases were recorded on. */
	readonly processor: string;
	readonly groups: Iterable<VectorGroup>;
}

const DEFAULT_EIP = 0xc800;
const ESP = 4;
const INITIAL_SEGMENTS = [0x2b, 0x23, 0x2b, 0x2b, 0, 0x2b] as const;
const PATTERN_SEED = 0x74737600;
const EDGE_WORDS = [
	0, 1, 2, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0x80000001,
	0xffffffff,
] as const;
const EDGE_BYTES = [0x00, 0x01, 0x09, 0x0f, 0x7f, 0x80, 0x9a, 0xff] as const;
const PAGE_FAULT = 14;

const parts = {
	eip: 1,
	registers: 2,
	patches: 4,
	fault: 8,
	jump: 16,
	memory: 32,
	wideFlags: 64,
	segments: 128,
} as const;

function hash(value: number): number {
	let x = value;
	x ^= x >>> 16;
	x = Math.imul(x, 0x7feb352d);
	x ^= x >>> 15;
	x = Math.imul(x, 0x846ca68b);
	return (x ^ (x >>> 16)) >>> 0;
}

function slot(seed: number, index: number, number: number): number {
	return hash(seed ^ hash(Math.imul(index, 16) + number));
}

function initialRegister(seed: number, index: number, register: number): number {
	const h = slot(seed, index, register);
	const value = hash(h);
	if (register === ESP) return 0x9000 + (h & 0x3fc) + (h >>> 28 === 0 ? (h >>> 12) & 3 : 0);
	if ((h & 3) === 0) return EDGE_WORDS[(h >>> 2) & 15]!;
	if ((h & 3) === 1) {
		return ((value & 0xffff0000) | (EDGE_BYTES[(h >>> 2) & 7]! << 8) | EDGE_BYTES[(h >>> 5) & 7]!) >>> 0;
	}
	return value;
}

/** The data pages and the readonly page (`layout.data.start` to `layout.readonly.end`) before patches. */
export function initialMemory(): Uint8Array {
	const bytes = new Uint8Array(layout.readonly.end - layout.data.start);
	const view = new DataView(bytes.buffer);
	for (let at = 0; at < bytes.length; at += 4) {
		view.setUint32(at, hash(PATTERN_SEED + (layout.data.start + at) / 4), true);
	}
	return bytes;
}

class Cursor {
	readonly #bytes: Buffer;
	#at = 0;

	constructor(bytes: Buffer) {
		this.#bytes = bytes;
	}

	u8(): number {
		return this.#bytes.readUInt8(this.#at++);
	}

	u16(): number {
		this.#at += 2;
		return this.#bytes.readUInt16LE(this.#at - 2);
	}

	u32(): number {
		this.#at += 4;
		return this.#bytes.readUInt32LE(this.#at - 4);
	}

	bytes(length: number): Uint8Array {
		this.#at += length;
		return this.#bytes.subarray(this.#at - length, this.#at);
	}

	text(): string {
		return Buffer.from(this.bytes(this.u8())).toString("latin1").replace(/\0+$/, "");
	}

	/** XORs the stored registers into `registers`. */
	registers(registers: Uint32Array): void {
		const mask = this.u8();
		for (let i = 0; i < 8; i++) {
			if ((mask & (1 << i)) !== 0) registers[i] = registers[i]! ^ this.u32();
		}
	}

	runs(): MemoryRun[] {
		const runs: MemoryRun[] = [];
		for (let count = this.u8(); count > 0; count--) {
			const address = this.u16();
			runs.push({ address, bytes: this.bytes(this.u8()) });
		}
		return runs;
	}
}

function readVector(cursor: Cursor, seed: number, form: string, index: number): Vector {
	const present = cursor.u8();
	const has = (part: number): boolean => (present & part) !== 0;
	const bytes = cursor.bytes(cursor.u8());
	const eip = has(parts.eip) ? cursor.u16() : DEFAULT_EIP;
	const registers = Uint32Array.from({ length: 8 }, (_, i) => initialRegister(seed, index, i));
	if (has(parts.registers)) cursor.registers(registers);
	const before = { registers, eip, eflags: (slot(seed, index, 8) & 0xcd5) | 0x202, segments: INITIAL_SEGMENTS };
	const patches = has(parts.patches) ? cursor.runs() : [];

	const fault = has(parts.fault) ? readFault(cursor) : undefined;
	const usualEip = fault === undefined ? eip + bytes.length : eip;
	const eipAfter = has(parts.jump) ? cursor.u32() : usualEip;
	const registersAfter = registers.slice();
	cursor.registers(registersAfter);
	const eflags = has(parts.wideFlags) ? cursor.u32() : cursor.u16();
	const changes = has(parts.memory) ? cursor.runs() : [];
	const segments: number[] = [...INITIAL_SEGMENTS];
	if (has(parts.segments)) {
		const mask = cursor.u8();
		for (let i = 0; i < segments.length; i++) if ((mask & (1 << i)) !== 0) segments[i] = cursor.u16();
	}
	const after = { registers: registersAfter, eip: eipAfter, eflags, segments };
	return { form, index, bytes, before, patches, after, changes, fault };
}

function readFault(cursor: Cursor): VectorFault {
	const vector = cursor.u8();
	const errorCode = cursor.u16();
	return vector === PAGE_FAULT ? { vector, errorCode, address: cursor.u32() } : { vector, errorCode };
}

function* readGroups(cursor: Cursor, seed: number, groups: number): Generator<VectorGroup> {
	for (let i = 0; i < groups; i++) {
		const form = cursor.text();
		const first = cursor.u32();
		const vectors = Array.from({ length: cursor.u32() }, (_, n) => readVector(cursor, seed, form, first + n));
		yield { form, vectors };
	}
}

/**
 * Opens a file of vectors (FORMAT.md).
 *
 * @param packed the bytes of a `.vec.br` file
 * @throws Error when it is not one
 */
export function readVectors(packed: Uint8Array): VectorFile {
	const cursor = new Cursor(brotliDecompressSync(packed));
	const magic = Buffer.from(cursor.bytes(4)).toString("latin1");
	const version = cursor.u16();
	if (magic !== "TVEC" || version !== 1) throw new Error("not a file of instruction vectors, version 1");
	const seed = cursor.u32();
	const processor = cursor.text();
	return { processor, groups: readGroups(cursor, seed, cursor.u16()) };
}

const folder = fileURLToPath(new URL(".", import.meta.url));

/** The families there are vectors of: `arithmetic`, `shift`, … */
export function vectorFamilies(): string[] {
	const suffix = ".vec.br";
	return readdirSync(folder)
		.filter((name) => name.endsWith(suffix))
		.map((name) => name.slice(0, -suffix.length))
		.sort();
}

/** Opens the vectors of a family. */
export function openFamily(family: string): VectorFile {
	return readVectors(readFileSync(`${folder}${family}.vec.br`));
}
