import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";

/** Bytes of a state in memory: an FSAVE image of 108, EFLAGS, 16 bytes of memory operand. */
export const STATE_BYTES = 128;
export const STATE = { control: 0, status: 4, tags: 8, registers: 28, flags: 108, memory: 112 } as const;
const REGISTER = 10;
const FLAGS = 0x8d5;

/** One instruction with what it gets and what a processor made of it. */
export interface X87Case {
	readonly before: Uint8Array;
	readonly after: Uint8Array;
}

export interface X87Form {
	readonly name: string;
	readonly code: readonly number[];
	readonly cases: readonly X87Case[];
}

function hash(value: number): number {
	let x = value ^ (value >>> 16);
	x = Math.imul(x, 0x7feb352d);
	x ^= x >>> 15;
	x = Math.imul(x, 0x846ca68b);
	return (x ^ (x >>> 16)) >>> 0;
}

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const TOP = 1n << 63n;
const ONES = (1n << 64n) - 1n;

/** What goes into case `index`: the same as in generate/x87/x87.c. */
class Composer {
	private readonly seed: number;
	private readonly index: number;

	constructor(seed: number, index: number) {
		this.seed = seed;
		this.index = index;
	}

	private slot(n: number): number {
		return hash(this.seed ^ hash((Math.imul(this.index, 64) + n) >>> 0));
	}

	private significand(h: number, random: bigint): bigint {
		const shift = BigInt((h >>> 12) & 63);
		switch ((h >>> 8) & 15) {
			case 0:
				return TOP;
			case 1:
				return ONES;
			case 2:
				return random & u64(ONES << 40n);
			case 3:
				return (random & u64(ONES << 40n)) | (1n << 39n);
			case 4:
				return (random & u64(ONES << 11n)) | (1n << 10n);
			case 5:
				return (random & u64(ONES << 32n)) | (1n << 31n);
			case 6:
				return random & u64(ONES << shift);
			case 7:
				return random | (ONES >> shift);
			case 8:
				return TOP | (random & 7n);
			default:
				return random;
		}
	}

	private number(n: number): { significand: bigint; se: number } {
		const h = this.slot(n);
		const s = this.significand(h, (BigInt(this.slot(n + 1)) << 32n) | BigInt(this.slot(n + 2)));
		const e = this.slot(n + 3);
		const [exponent, significand] = this.special(h & 31, h, s, e);
		return { significand, se: (exponent | ((h >>> 31) << 15)) & 0xffff };
	}

	private special(kind: number, h: number, s: bigint, e: number): [number, bigint] {
		const normal = s | TOP;
		switch (kind) {
			case 0:
				return [0, 0n];
			case 1:
				return [0x7fff, TOP];
			case 2:
				return [0x7fff, s | (3n << 62n)];
			case 3:
				return [0x7fff, (s & ~(1n << 62n)) | TOP];
			case 4:
				return [0, u64(s << 1n) >> BigInt(1 + (e % 63))];
			case 5:
				return [0, normal];
			case 6:
				return [1 + (e % 0x7ffe), s & ~TOP];
			case 7:
				return [0x7fff, s & ~TOP];
			case 8:
				return [0x7ffe - (e % 70), normal];
			case 9:
				return [1 + (e % 70), normal];
			case 10:
				return [(e % 0x7ffe) + 1, normal];
			case 11:
				return [0x3fff + (e % 64), (s & u64(ONES << BigInt(63 - (e % 64)))) | TOP];
			case 12:
				return [0x3fff + 1020 + (e % 6), normal];
			case 13:
				return [0x3fff - 1077 + (e % 60), normal];
			case 14:
				return [0x3fff + 124 + (e % 6), normal];
			case 15:
				return [0x3fff - 152 + (e % 30), normal];
		}
		const step = Math.floor(e / 9);
		const far = h & 8 ? step % 128 : -(step % 64);
		return [0x3fff - 4 + (e % 9) + (h & 16 ? far : 0), normal];
	}

	state(memory: number): Uint8Array {
		const bytes = new Uint8Array(STATE_BYTES);
		const view = new DataView(bytes.buffer);
		const [h, k] = [this.slot(0), this.slot(1)];
		const masks = (h & 3) !== 0 ? 0x3f : (h >>> 2) & 0x3f;
		const top = k & 7;
		let status = (top << 11) | ((k >>> 3) & 0x4700);
		if (((k >>> 20) & 7) === 0) status |= (k >>> 24) & 0x3f & masks;
		const empty = ((h >>> 16) & 15) === 0 ? (h >>> 20) & 0xff : 0xe0;
		let tags = 0;
		for (let n = 0; n < 8; n++) {
			const other = { significand: TOP | (BigInt(n) << 40n), se: 0x3fff };
			const { significand, se } = n < 2 ? this.number(8 + n * 8) : other;
			view.setBigUint64(STATE.registers + n * REGISTER, significand, true);
			view.setUint16(STATE.registers + n * REGISTER + 8, se, true);
			const exponent = se & 0x7fff;
			const valid = exponent !== 0 && exponent !== 0x7fff && significand >= TOP;
			const tag = (empty >>> n) & 1 ? 3 : exponent === 0 && significand === 0n ? 1 : valid ? 0 : 2;
			tags |= tag << (((top + n) & 7) * 2);
		}
		view.setUint32(STATE.control, 0xffff0000 | masks | 0x40 | (((h >>> 8) & 15) << 8), true);
		view.setUint32(STATE.status, 0xffff0000 | status, true);
		view.setUint32(STATE.tags, 0xffff0000 | tags, true);
		view.setUint32(STATE.flags, (this.slot(2) & FLAGS) | 0x202, true);
		this.operand(view, memory);
		return bytes;
	}

	private operand(view: DataView, kind: number): void {
		const raw = (BigInt(this.slot(40)) << 32n) | BigInt(this.slot(41));
		const c = this.slot(42);
		if (kind === 10) {
			const { significand, se } = this.number(32);
			view.setBigUint64(STATE.memory, significand, true);
			view.setUint16(STATE.memory + 8, se, true);
		} else if (kind === 4 || kind === 8) {
			const value = this.float(kind, c);
			if (kind === 4) view.setUint32(STATE.memory, Number(value), true);
			else view.setBigUint64(STATE.memory, value, true);
		} else if (kind === 11) {
			const second = this.slot(43);
			for (let n = 0; n < 9; n++) {
				const digits = Number((raw >> BigInt(n * 7)) % 10n) | ((second >>> (n * 3)) % 10 << 4);
				view.setUint8(STATE.memory + n, digits);
			}
			view.setUint8(STATE.memory + 9, c & 0x80);
		} else if (kind < 0) {
			let value = c & 1 ? BigInt.asIntN(64, raw) >> BigInt((c >>> 1) & 63) : raw;
			if (((c >>> 8) & 15) === 0) value = 0n;
			for (let n = 0; n < -kind; n++) view.setUint8(STATE.memory + n, Number((value >> BigInt(n * 8)) & 0xffn));
		} else view.setBigUint64(STATE.memory, raw, true);
	}

	private float(bytes: 4 | 8, c: number): bigint {
		const bits = bytes === 4 ? 23 : 52;
		const last = bytes === 4 ? 255 : 2047;
		let fraction = (this.number(32).significand & (TOP - 1n)) >> BigInt(63 - bits);
		let exponent = (last >> 1) - 4 + ((c >>> 8) % 9);
		const kind = c & 15;
		if (kind === 0 || kind === 2) exponent = 0;
		if (kind === 1 || kind === 3) exponent = last;
		if (kind === 2 || kind === 3) fraction = 0n;
		if (kind === 4) exponent = (c >>> 8) & last;
		return (BigInt(c >>> 31) << BigInt(bytes * 8 - 1)) | (BigInt(exponent) << BigInt(bits)) | fraction;
	}
}

class Cursor {
	private readonly bytes: Buffer;
	private at = 0;

	constructor(bytes: Buffer) {
		this.bytes = bytes;
	}

	u8(): number {
		return this.bytes.readUInt8(this.at++);
	}
	u16(): number {
		this.at += 2;
		return this.bytes.readUInt16LE(this.at - 2);
	}
	u32(): number {
		this.at += 4;
		return this.bytes.readUInt32LE(this.at - 4);
	}
	take(length: number): Uint8Array {
		this.at += length;
		return this.bytes.subarray(this.at - length, this.at);
	}
	text(): string {
		return Buffer.from(this.take(this.u8())).toString("latin1");
	}
}

/** What the processor left, from what it got and the differences in the file. */
function readAfter(cursor: Cursor, before: Uint8Array): Uint8Array {
	const after = before.slice();
	const [from, to] = [new DataView(before.buffer), new DataView(after.buffer)];
	const present = cursor.u8();
	to.setUint16(STATE.status, cursor.u16(), true);
	if (present & 1) to.setUint16(STATE.control, cursor.u16(), true);
	if (present & 2) to.setUint16(STATE.tags, cursor.u16(), true);
	const topOf = (view: DataView): number => (view.getUint16(STATE.status, true) >> 11) & 7;
	const place = (view: DataView, n: number): number => STATE.registers + ((n - topOf(view)) & 7) * REGISTER;
	const changed = present & 4 ? cursor.u8() : 0;
	for (let n = 0; n < 8; n++) {
		const value = (changed >> n) & 1 ? cursor.take(REGISTER) : before.subarray(place(from, n), place(from, n) + REGISTER);
		after.set(value, place(to, n));
	}
	if (present & 8) to.setUint32(STATE.flags, cursor.u16() | 0x202, true);
	if (present & 16) after.set(cursor.take(REGISTER), STATE.memory);
	return after;
}

/** The cases of x87.vec.br (FORMAT.md). */
export function readX87(): X87Form[] {
	const cursor = new Cursor(brotliDecompressSync(readFileSync(new URL("x87.vec.br", import.meta.url))));
	if (Buffer.from(cursor.take(4)).toString("latin1") !== "X87V") throw new Error("not a file of x87 vectors");
	const seed = cursor.u32();
	cursor.text();
	let index = 0;
	return Array.from({ length: cursor.u16() }, () => {
		const name = cursor.text();
		const code = [...cursor.take(2)];
		const memory = (cursor.u8() << 24) >> 24;
		const cases = Array.from({ length: cursor.u16() }, () => {
			const before = new Composer(seed, index++).state(memory);
			return { before, after: readAfter(cursor, before) };
		});
		return { name, code, cases };
	});
}
