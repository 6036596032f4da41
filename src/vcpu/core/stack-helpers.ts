import { RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, SEGMENT, VECTOR } from "../../isa/registers.ts";
import { i32 } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { ACCESS, F, GPRS, STATUS } from "../layout.ts";
import type { Core } from "./core.ts";
import { isReal } from "./mode.ts";
import { segmentLinear, setStackPointer, stackOffset } from "./segment-access.ts";

/** Order of PUSHA (SDM 2B PUSHA). */
const PUSH_ORDER = [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI] as const;

/** PUSHA, POPA and ENTER: several accesses, all checked before the first store. */
export function defineStackHelpers(core: Core): void {
	core.define("helper_pushAll", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, bytes] = [f.param(0), f.param(1), f.param(2)];
		// SDM 2B PUSHA, real-address mode and virtual-8086 mode exceptions.
		const sp = f.let(stackOffset(st, 0).wrap());
		f.if(isReal(st).and(sp.and(1)).and(sp.geU(7)).and(sp.leU(15)), () => {
			f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
		});
		PUSH_ORDER.forEach((register, n) => {
			F.words.set(f, st, st.load("i64", GPRS + register * 8), n * 8);
		});
		const status = f.let(call(core.fn("pushWords"), st, rec, PUSH_ORDER.length, bytes));
		f.returnIf(status.eq(STATUS.stopHere), status);
		setStackPointer(f, st, stackOffset(st, bytes.mul(-PUSH_ORDER.length).extS()));
		f.return(status);
	});

	core.define("helper_popAll", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, bytes] = [f.param(0), f.param(1), f.param(2)];
		const values = PUSH_ORDER.toReversed().map((register, n) => {
			const offset = stackOffset(st, bytes.mul(n).extU());
			if (register === RSP) {
				// The stored stack pointer counts for faults, but is not read: a device would notice.
				const linear = segmentLinear(core, f, st, SEGMENT.ss, offset, bytes, false);
				f.if(call(core.fn("hit"), st, linear, bytes, F.tlbRead.of(st)).eqz(), () => {
					f.check(call(core.fn("probe"), st, linear, bytes, ACCESS.read));
				});
				return undefined;
			}
			f.check(call(core.fn("loadAt"), st, rec, SEGMENT.ss, offset, bytes));
			return { register, value: f.let(F.data.of(st)) };
		});
		setStackPointer(f, st, stackOffset(st, bytes.mul(PUSH_ORDER.length).extU()));
		for (const entry of values) if (entry) f.call(core.fn("setGpr"), st, entry.register, bytes, entry.value);
		f.return(STATUS.next);
	});

	/**
	 * `overlayPushed(state, offset, count, bytes)`: gives F.data, read at `offset` of the stack, the bytes that `count`
	 * words of F.words will have there once they are pushed.
	 */
	core.define("overlayPushed", ["i32", "i64", "i32", "i32"], [], (f) => {
		const [st, offset, count, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		// How far the byte in hand lies below the stack pointer, less one.
		const below = f.let(stackOffset(st, 0).sub(offset).sub(1n).and(F.stackMask.of(st)));
		const n = f.local("i32", 0);
		f.while(n.ltU(bytes), () => {
			f.if(below.ltU(count.mul(bytes).extU()), () => {
				const place = f.let(below.wrap());
				const word = st.add(place.shrU(bytes.ctz()).shl(3));
				const byte = word.add(bytes.sub(1).sub(place.and(bytes.sub(1)))).load("i32_8u", F.words.offset);
				f.store("i32_8", st.add(n), byte, F.data.offset);
			});
			f.set(below, below.sub(1n));
			f.set(n, n.add(1));
		});
	});

	/**
	 * ENTER: the frame pointers of the outer levels are read before anything is stored; where the new frame overlaps
	 * them, they are read as the pushes before will leave them.
	 */
	core.define("helper_enter", ["i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, frameBytes, level, bytes] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const rsp = GPRS + RSP * 8;
		const mask = f.let(F.stackMask.of(st));
		const frame = f.let(
			st
				.load("i64", rsp)
				.and(mask.not())
				.or(stackOffset(st, i32(0).sub(bytes).extS())),
		);
		const count = f.local("i32", 1);
		F.words.set(f, st, st.load("i64", GPRS + RBP * 8));
		f.if(level.ne(0), () => {
			const outer = f.let(st.load("i64", GPRS + RBP * 8));
			f.while(count.ltU(level), () => {
				f.set(outer, outer.sub(bytes.extU()).and(mask));
				f.check(call(core.fn("loadAt"), st, rec, SEGMENT.ss, outer, bytes));
				f.call(core.fn("overlayPushed"), st, outer, count, bytes);
				f.store("i64", st.add(count.shl(3)), F.data.of(st), F.words.offset);
				f.set(count, count.add(1));
			});
			f.store("i64", st.add(count.shl(3)), frame, F.words.offset);
			f.set(count, count.add(1));
		});
		// Behind the pushes, the place where the stack will end must be writable too (SDM 2A ENTER, #PF and #SS).
		f.check(call(core.fn("probeWords"), st, count, bytes));
		const end = f.let(stackOffset(st, i32(0).sub(count.mul(bytes).add(frameBytes)).extS()));
		f.check(call(core.fn("probeAt"), st, SEGMENT.ss, end, bytes));
		const status = f.let(call(core.fn("pushWords"), st, rec, count, bytes));
		f.returnIf(status.eq(STATUS.stopHere), status);
		f.call(core.fn("setGpr"), st, RBP, bytes, frame);
		setStackPointer(f, st, end);
		f.return(status);
	});
}
