import { vectorFamily } from "../packed.ts";
import type { Semantics } from "../semantics.ts";

const move = (x: Semantics): void => x.packedUnary((a) => a);

/** Loads and stores, aligned or not. */
export const MOVDQA = vectorFamily("MOVDQA", "Move aligned packed integers", {
	forms: [
		{ opcode: "0F 6F /r", sse: "sse2", avx2: "avx", operands: "Vx, Wx", options: { aligned: true } },
		{ opcode: "0F 7F /r", sse: "sse2", avx2: "avx", operands: "Wx, Vx", options: { aligned: true } },
	],
	meaning: move,
});

export const MOVDQU = vectorFamily("MOVDQU", "Move unaligned packed integers", {
	forms: [
		{ opcode: "0F 6F /r", prefix: "F3", sse: "sse2", avx2: "avx", operands: "Vx, Wx", options: { aligned: false } },
		{ opcode: "0F 7F /r", prefix: "F3", sse: "sse2", avx2: "avx", operands: "Wx, Vx", options: { aligned: false } },
	],
	meaning: move,
});
