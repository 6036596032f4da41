/** The state of a SIMD case (test/vectors/generate-simd/run.c has the same): 32-bit words, by what they are. */
export const STATE = {
	/** YMM0–YMM15, 8 words each. */
	ymm: 0,
	/** MM0–MM7, 2 words each. */
	mm: 128,
	/** RAX … R15, 2 words each; RBX and RDI are the address of the memory, RSP is the stack's: none of them counts. */
	gpr: 144,
	/** Arithmetic flags. */
	flags: 176,
	/** 512 bytes of memory. */
	memory: 178,
	words: 306,
} as const;

const FLAGS = 0x8d5;
const SPECIAL = [
	0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x80808080, 0x7f7f7f7f,
	0x80007fff,
];

function hash(value: number): number {
	let x = value ^ (value >>> 16);
	x = Math.imul(x, 0x7feb352d);
	x ^= x >>> 15;
	x = Math.imul(x, 0x846ca68b);
	return x ^ (x >>> 16);
}

/** Of a gather: which vector register holds the indices, and how many bytes each has. They are made small. */
export interface Indices {
	readonly register: number;
	readonly bytes: 4 | 8;
}

/** Fills the state of run `run` of line `line`. */
export function fillState(state: Int32Array, line: number, run: number, indices?: Indices): void {
	const seed = hash(line * 64 + run);
	for (let n = 0; n < STATE.words; n++) {
		const h = hash(seed ^ hash(n));
		state[n] = h >>> 28 < 4 ? SPECIAL[(h >>> 8) & 15]! : hash(h);
	}
	state[STATE.flags] = state[STATE.flags]! & FLAGS;
	state[STATE.flags + 1] = 0;
	for (const n of [3, 4, 7]) state.fill(0, STATE.gpr + n * 2, STATE.gpr + n * 2 + 2);
	if (!indices) return;
	for (let n = 0; n < 8; n++) {
		const at = STATE.ymm + indices.register * 8 + n;
		const high = indices.bytes === 8 && n % 2 === 1;
		state[at] = high ? state[at - 1]! >> 31 : (state[at]! & 31) - 8;
	}
}

/** A number that says what a state is. */
export function stateHash(state: Int32Array): number {
	let h = 0x811c9dc5;
	for (let n = 0; n < STATE.words; n++) h = hash(h ^ state[n]!);
	return h >>> 0;
}
