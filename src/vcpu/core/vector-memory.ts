import { type Ex, i32, i64, type Local, v128 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, KEY, REC, STATUS } from "../layout.ts";
import type { Core } from "./core.ts";

/** Places in F.words: the mask, then the values, 32 bytes each. */
const MASK = F.words.offset;
const VALUES = F.words.offset + 32;

/** Vector instructions that touch memory element by element, and those of the control register and the whole file. */
export function defineVectorMemory(core: Core): void {
	defineMasked(core);
	defineGather(core);
	core.define("helper_ldmxcsr", ["i32", "i32", "i32"], ["i32"], (f) => {
		F.mxcsr.set(f, f.param(0), f.param(2));
		f.return(STATUS.next);
	});
	/** `(state, rec, all)`: upper halves, or with `all` everything. */
	core.define("helper_clearVectors", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, all] = [f.param(0), f.param(2)];
		const count = i32(16).when(F.modeKey.of(st).and(KEY.long), 8);
		const at = f.local("i32", st.add(F.ymm.offset));
		const end = f.let(at.add(count.shl(5)));
		f.while(at.ltU(end), () => {
			f.store("v128", at, v128(0n), 16);
			f.if(all, () => f.store("v128", at, v128(0n)));
			f.set(at, at.add(32));
		});
		f.return(STATUS.next);
	});
}

/** All ones of the instruction's address size. */
function addressMask(st: Ex, rec: Ex): Ex {
	return st.add(rec.load("i32_8u", REC.addressSize)).load("i64", F.masks.offset);
}

/** Goes through the elements of `bytes` bytes whose mask at `MASK` is negative: offset in the vector and in the segment. */
function eachMasked(
	f: FunctionBuilder,
	{ st, rec, offset, element, bytes }: Record<"st" | "rec" | "offset" | "element" | "bytes", Local>,
	body: (at: Local, offset: Ex) => void,
): void {
	const wrap = f.let(addressMask(st, rec));
	const at = f.local("i32", 0);
	f.while(at.ltU(bytes), () => {
		const sign = st
			.add(at)
			.add(element)
			.load("i32_8u", MASK - 1);
		f.if(sign.and(0x80), () => body(at, offset.add(at.extU()).and(wrap)));
		f.set(at, at.add(element));
	});
}

function defineMasked(core: Core): void {
	/** `(state, rec, segment, offset, mask, mask's upper half, bytes of an element, of all)`; the destination is the record's. */
	core.define("helper_maskedLoad", ["i32", "i32", "i32", "i64", "v128", "v128", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, segment, offset] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [element, bytes] = [f.param(6), f.param(7)];
		for (const half of [0, 1]) {
			f.store("v128", st, f.param(4 + half), MASK + half * 16);
			f.store("v128", st, v128(0n), VALUES + half * 16);
		}
		eachMasked(f, { st, rec, offset, element, bytes }, (at, place) => {
			f.check(call(core.fn("loadAt"), st, rec, segment, place, element));
			f.memoryCopy(st.add(at).add(VALUES), st.add(F.data.offset), element);
		});
		const destination = f.let(st.add(rec.load("i32_16u", REC.reg)));
		for (const half of [0, 16]) f.store("v128", destination, st.load("v128", VALUES + half), half);
		f.return(call(core.fn("stopIfPending"), st));
	});

	/** `(state, rec, segment, offset, value, its upper half, mask, its upper half, bytes of an element, of all)`. */
	core.define(
		"helper_maskedStore",
		["i32", "i32", "i32", "i64", "v128", "v128", "v128", "v128", "i32", "i32"],
		["i32"],
		(f) => {
			const [st, rec, segment, offset] = [f.param(0), f.param(1), f.param(2), f.param(3)];
			const [element, bytes] = [f.param(8), f.param(9)];
			for (const half of [0, 1]) {
				f.store("v128", st, f.param(4 + half), VALUES + half * 16);
				f.store("v128", st, f.param(6 + half), MASK + half * 16);
			}
			const all = { st, rec, offset, element, bytes };
			eachMasked(f, all, (_at, place) => f.check(call(core.fn("probeAt"), st, segment, place, element)));
			eachMasked(f, all, (at, place) => {
				const value = st.add(at).load("i64", VALUES);
				const status = call(core.fn("storeAt"), st, rec, segment, place, element, value);
				f.if(status.eq(STATUS.stopHere), () => f.return(STATUS.stopHere));
			});
			// Only MASKMOVQ stores eight bytes.
			f.if(bytes.eq(8), () => f.drop(call(core.fn("enterMmx"), st)));
			f.return(call(core.fn("stopIfPending"), st));
		},
	);
}

/**
 * `helper_gather(state, rec, segment, base, bytes of an element, bytes of an index, elements)`: destination, mask and indices are the
 * record's registers. Elements are done from the lowest on; one that faults leaves those before it done and unmasked.
 */
function defineGather(core: Core): void {
	core.define("helper_gather", ["i32", "i32", "i32", "i64", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, segment, base] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [element, index, count] = [f.param(4), f.param(5), f.param(6)];
		const destination = f.let(st.add(rec.load("i32_16u", REC.reg)));
		const mask = f.let(st.add(rec.load("i32_16u", REC.immediate2)));
		const indices = f.let(st.add(rec.load("i32", REC.immediate)));
		const scale = f.let(rec.load("i64_8u", REC.scale));
		const wrap = f.let(addressMask(st, rec));
		const wide = f.let(element.eq(8));
		const n = f.local("i32", 0);
		f.while(n.ltU(count), () => {
			const at = f.let(mask.add(n.mul(element)));
			f.if(
				wide,
				() => f.store("i64", at, at.load("i64").shrS(63)),
				() => f.store("i32", at, at.load("i32").shrS(31)),
			);
			f.set(n, n.add(1));
		});
		f.set(n, 0);
		f.while(n.ltU(count), () => {
			const at = f.let(n.mul(element));
			f.if(mask.add(at).load("i32_8u"), () => {
				const number = f.let(indices.add(n.mul(index)).load("i64"));
				f.if(index.eq(4), () => f.set(number, number.sext32()));
				const offset = base.add(number.shl(scale)).and(wrap);
				f.check(call(core.fn("loadAt"), st, rec, segment, offset, element));
				f.if(
					wide,
					() => f.store("i64", destination.add(at), F.data.of(st)),
					() => f.store("i32", destination.add(at), F.data.of(st).wrap()),
				);
				f.if(
					wide,
					() => f.store("i64", mask.add(at), i64(0)),
					() => f.store("i32", mask.add(at), i32(0)),
				);
			});
			f.set(n, n.add(1));
		});
		f.memoryFill(destination.add(count.mul(element)), 0, i32(32).sub(count.mul(element)));
		f.memoryFill(mask, 0, 32);
		f.return(call(core.fn("stopIfPending"), st));
	});
}
