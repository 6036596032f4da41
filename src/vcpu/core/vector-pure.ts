import { aesInverseSBox, aesSBox, PURE, type PureName } from "../../isa/pure.ts";
import { type Ex, i32, i64, type Local, simd, v128 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import type { Core } from "./core.ts";

const TYPES = { 32: "i32", 64: "i64", 128: "v128" } as const;

/** The functions of values that instructions name (src/isa/pure.ts). */
export function defineVectorPure(core: Core): void {
	const define = (name: PureName, body: (f: FunctionBuilder) => void): void => {
		const { params, result } = PURE[name];
		core.define(
			`pure_${name}`,
			params.map((bits) => TYPES[bits]),
			[TYPES[result]],
			body,
		);
	};
	defineCarryless(core);
	define("clmul", (f) => {
		const [a, b] = [f.param(0), f.param(1)];
		const low = call(core.fn("carrylessLow"), a, b);
		// The upper half of a product is the lower half of the product of the mirrored factors, mirrored and moved by one.
		const mirror = (value: Ex): Ex => call(core.fn("mirrorBits"), value);
		const high = mirror(call(core.fn("carrylessLow"), mirror(a), mirror(b))).shrU(1);
		const first = simd("i64x2.splat", [low]);
		f.return(simd("i64x2.replace_lane", [first, high], [1]));
	});
	define("aesSubBytes", (f) => f.return(substitute(f, aesSBox())));
	define("aesInverseSubBytes", (f) => f.return(substitute(f, aesInverseSBox())));
	define("compareStrings", compareStrings);
}

/** Every fourth bit, from each of the four first ones. */
const EVERY_FOURTH = [0x1111111111111111n, 0x2222222222222222n, 0x4444444444444444n, 0x8888888888888888n] as const;

/**
 * `carrylessLow(a, b)`: the low 64 bits of the product without carries. Of numbers with ones only in every fourth bit, an
 * ordinary product adds at most 16 ones at each place, so its carries end before the next place that counts.
 */
function defineCarryless(core: Core): void {
	core.define("carrylessLow", ["i64", "i64"], ["i64"], (f) => {
		const parts = (value: Local): Local[] => EVERY_FOURTH.map((mask) => f.let(value.and(mask)));
		const [a, b] = [parts(f.param(0)), parts(f.param(1))];
		let result: Ex = i64(0);
		for (const [place, mask] of EVERY_FOURTH.entries()) {
			let sum: Ex | undefined;
			for (const [n, factor] of a.entries()) {
				const product = factor.mul(b[(place - n) & 3] ?? i64(0));
				sum = sum ? sum.xor(product) : product;
			}
			if (sum) result = result.or(sum.and(mask));
		}
		f.return(result);
	});
	core.define("mirrorBits", ["i64"], ["i64"], (f) => {
		const value = f.local("i64", f.param(0));
		for (const [shift, mask] of [
			[1, 0x5555555555555555n],
			[2, 0x3333333333333333n],
			[4, 0x0f0f0f0f0f0f0f0fn],
			[8, 0x00ff00ff00ff00ffn],
			[16, 0x0000ffff0000ffffn],
		] as const)
			f.set(value, value.shrU(shift).and(mask).or(value.and(mask).shl(shift)));
		f.return(value.rotl(32));
	});
}

/** Bytes of parameter 0 by a table of 256, sixteen entries at a time: of the others a swizzle makes 0. */
function substitute(f: FunctionBuilder, table: Uint8Array): Ex {
	const rest = f.local("v128", f.param(0));
	const result = f.local("v128", v128(0n));
	for (let row = 0; row < 16; row++) {
		const entries = table.subarray(row * 16, row * 16 + 16).reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);
		f.set(result, simd("v128.or", [result, simd("i8x16.swizzle", [v128(entries), rest])]));
		if (row < 15) f.set(rest, simd("i8x16.sub", [rest, simd("i8x16.splat", [i32(16)])]));
	}
	return result;
}

/** PCMPxSTRx (SDM 2 4.1), with a bit for each element of the second string. */
function compareStrings(f: FunctionBuilder): void {
	const [a, b, lengthA, lengthB, control] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
	const words = f.let(control.and(1));
	const count = f.let(i32(16).shrU(words));
	const all = f.let(i32(1).shl(count).sub(1));
	const inA = f.let(i32(1).shl(lengthA).sub(1));
	const inB = f.let(i32(1).shl(lengthB).sub(1));
	const result = f.local("i32", 0);
	const n = f.local("i32", 0);
	const one = f.local("v128");
	/** Element `index` of the first string in every lane of `one`. */
	const spread = (index: Ex): void => {
		const byte = simd("i8x16.splat", [index.shl(words)]);
		// 00 01 00 01 … for words.
		const within = simd("v128.and", [simd("i16x8.splat", [i32(0x0100)]), simd("i16x8.splat", [i32(0).sub(words)])]);
		f.set(one, simd("i8x16.swizzle", [a, simd("i8x16.add", [byte, within])]));
	};
	const mask = (byBytes: Ex, byWords: Ex): Ex =>
		simd("i16x8.bitmask", [byWords]).when(words, simd("i8x16.bitmask", [byBytes]));
	const equal = (other: Ex): Ex => mask(simd("i8x16.eq", [b, other]), simd("i16x8.eq", [b, other]));
	/** Lanes of `b` from `one` on, or up to it. */
	const ordered = (op: "ge" | "le"): Ex => {
		const signed = mask(simd(`i8x16.${op}_s`, [b, one]), simd(`i16x8.${op}_s`, [b, one]));
		const unsigned = mask(simd(`i8x16.${op}_u`, [b, one]), simd(`i16x8.${op}_u`, [b, one]));
		return signed.when(control.and(2), unsigned);
	};
	f.switch(control.shrU(2).and(3), [
		() => {
			f.while(n.ltU(lengthA), () => {
				spread(n);
				f.set(result, result.or(equal(one)));
				f.set(n, n.add(1));
			});
			f.set(result, result.and(inB));
		},
		() => {
			const from = f.local("i32");
			f.while(n.add(1).ltU(lengthA), () => {
				spread(n);
				f.set(from, ordered("ge"));
				spread(n.add(1));
				f.set(result, result.or(from.and(ordered("le"))));
				f.set(n, n.add(2));
			});
			f.set(result, result.and(inB));
		},
		() => {
			const neither = inA.or(inB).not().and(all);
			f.set(result, equal(a).and(inA).and(inB).or(neither));
		},
		() => {
			f.set(result, all);
			f.while(n.ltU(lengthA), () => {
				spread(n);
				// Beyond the last element nothing is compared.
				const beyond = all.and(all.shrU(n).not());
				f.set(result, result.and(equal(one).and(inB).shrU(n).or(beyond)));
				f.set(n, n.add(1));
			});
		},
	]);
	f.if(control.and(0x10), () => f.set(result, result.xor(inB.when(control.and(0x20), all))));
	f.return(result);
}
