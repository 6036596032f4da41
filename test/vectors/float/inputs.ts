import type { Lanes } from "./forms.ts";

/** What an instruction finds: three vectors of 256 bits, MM0 and MM2, RAX, MXCSR, an immediate byte. */
export interface FloatInputs {
	readonly ymm: readonly [Uint32Array, Uint32Array, Uint32Array];
	readonly mm: readonly [bigint, bigint];
	readonly rax: bigint;
	readonly mxcsr: number;
	readonly immediate: number;
}

function hash(value: number): number {
	let x = value >>> 0;
	x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
	x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
	return (x ^ (x >>> 16)) >>> 0;
}

/** A number of 32 bits, special ones more often than not, or none where it is to be `tame`. */
function single(h: number, tame: boolean): number {
	const r = hash(h);
	const sign = r & 0x80000000;
	const fraction = r & 0x7fffff;
	switch (tame ? 6 + (h & 2) : h & 15) {
		case 0:
			return sign;
		case 1:
			return sign | fraction;
		case 2:
			return sign | 0x7f800000;
		case 3:
			return r | 0x7f800000;
		case 4:
			return sign | (0x7ffffe + (r & 3));
		case 5:
			return sign | (0x7f7ffffc + (r & 3));
		case 6:
			return sign | ((0x7f + ((r >>> 20) & 31)) << 23) | ((r & 7) << 20);
		case 7:
			return sign | (((r >>> 8) & 63) << 23) | ((r & 0xff) << 15);
		case 8:
		case 9:
			return sign | ((0x70 + ((r >>> 23) & 31)) << 23) | fraction;
		case 10:
			return sign | (((r >>> 23) & 63) << 23) | fraction;
		case 11:
			return sign | ((0xc0 + ((r >>> 23) & 63)) << 23) | fraction;
		case 12:
			return sign | ((0x70 + ((r >>> 23) & 31)) << 23) | (r & 1 ? 0x7fffff : 0);
		default:
			return r;
	}
}

/** The same of 64 bits: high and low half. */
function double(h: number, tame: boolean): readonly [high: number, low: number] {
	const r = hash(h);
	const low = hash(r);
	const sign = r & 0x80000000;
	const fraction = r & 0xfffff;
	switch (tame ? 6 + (h & 2) : h & 15) {
		case 0:
			return [sign, 0];
		case 1:
			return [sign | fraction, low];
		case 2:
			return [sign | 0x7ff00000, 0];
		case 3:
			return [r | 0x7ff00000, h & 16 ? 0 : low];
		case 4:
			return (r & 3) < 2 ? [sign | 0xfffff, 0xfffffffe + (r & 3)] : [sign | 0x100000, (r & 3) - 2];
		case 5:
			return [sign | 0x7fefffff, 0xfffffffc + (r & 3)];
		case 6:
			return [sign | ((0x3ff + ((r >>> 20) & 63)) << 20) | ((r & 7) << 17), 0];
		case 7:
			return [sign | (((r >>> 8) & 127) << 20) | ((r & 0xff) << 12), 0];
		case 8:
		case 9:
			return [sign | ((0x3e0 + ((r >>> 20) & 63)) << 20) | fraction, low];
		case 10:
			return [sign | (((r >>> 20) & 127) << 20) | fraction, low];
		case 11:
			return [sign | ((0x780 + ((r >>> 20) & 127)) << 20) | fraction, low];
		case 12:
			return [sign | ((0x3e0 + ((r >>> 20) & 63)) << 20) | (r & 1 ? 0xfffff : 0), r & 1 ? 0xffffffff : 0];
		case 13:
			return [sign | ((0x35f + ((r >>> 20) & 255)) << 20) | fraction, (low & 0xe0000000) | ((low & 1) << 28)];
		default:
			return [r, low];
	}
}

function control(m: number): number {
	const rest = (((m >>> 8) & 3) << 13) | (((m >>> 10) & 1) << 6) | (((m >>> 11) & 1) << 15);
	switch (m & 7) {
		case 2:
			return 0x1fa0;
		case 3:
			return 0x1f80;
		case 4:
			return 0x1f80 | (((m >>> 8) & 3) << 13) | ((m >>> 16) & 63);
		case 5:
			return rest | (((m >>> 16) & 63) << 7);
		case 6:
			return 0x1f80 ^ (0x80 << ((m >>> 16) % 6));
		default:
			return 0x1f80 | rest;
	}
}

/** Case `n` of form number `form`. */
export function inputsOf(seed: number, form: number, n: number, lanes: Lanes): FloatInputs {
	const base = hash(seed ^ hash(form * 0x10000 + n));
	/** Ordinary numbers in every lane. */
	const tame = ((base >>> 5) & 3) === 0;
	const ymm = [new Uint32Array(8), new Uint32Array(8), new Uint32Array(8)] as const;
	ymm.forEach((words, operand) => {
		const before = ymm[operand - 1];
		for (let lane = 0; lane < (lanes === "d" ? 4 : 8); lane++) {
			const h = hash(base ^ hash(operand * 8 + lane));
			const copied = h >>> 24 < 24 ? before : undefined;
			const flip = (h & 0x80) << 24;
			if (lanes === "h") words[lane] = hash(h);
			else if (lanes === "s") words[lane] = copied ? copied[lane]! ^ flip : single(h, tame);
			else if (copied) words.set([copied[lane * 2]!, copied[lane * 2 + 1]! ^ flip], lane * 2);
			else words.set([...double(h, tame)].reverse(), lane * 2);
		}
	});
	const scalar = (k: number): number => hash(base ^ k);
	const pair = (high: number, low: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
	const wide = BigInt.asIntN(64, pair(scalar(105), scalar(106))) >> BigInt(base & 63);
	return {
		ymm,
		mm: [pair(scalar(101), scalar(102)), pair(scalar(103), (scalar(104) | 0) >> (base & 31))],
		rax: BigInt.asUintN(64, wide),
		mxcsr: tame && base & 0x80 ? 0x1fa0 : control(scalar(107)),
		immediate: scalar(108) & 0xff,
	};
}
