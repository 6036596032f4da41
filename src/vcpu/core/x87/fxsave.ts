import { VECTOR } from "../../../isa/registers.ts";
import { type Ex, i32, type Local } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F, KEY, REC, STATUS } from "../../layout.ts";
import { LEGACY, MXCSR_MASK } from "../../state-image.ts";
import { CR4 } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { segmentLinear } from "../segment-access.ts";

/** Bytes of a register in it. */
const SLOT = 16;
const YMM_BYTES = 32;
/** Address of a memory operand that must be aligned to `alignment` bytes, which is #GP(0) otherwise; `bytes` must be in its segment. */
export function alignedOperand(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	rec: Ex,
	offset: Ex,
	bytes: number,
	alignment: number,
	write: boolean,
): Local {
	const linear = segmentLinear(core, f, st, rec.load("i32_8u", REC.segment), offset, bytes, write);
	f.if(linear.wrap().and(alignment - 1), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
	return linear;
}

/** Registers XMM0 to XMM7, or to XMM15 in 64-bit mode. */
export function vectorCount(st: Ex): Ex {
	return i32(16).when(F.modeKey.of(st).and(KEY.long), 8);
}

/** FXSAVE, FXRSTOR, and the parts of their image that XSAVE has too. */
export function defineFxsave(core: Core): void {
	const area = (st: Ex): Ex => st.add(F.area.offset);

	/** `legacyToArea(state, wide)`: x87 state; `wide`: pointers of 64 bits without selectors. */
	core.define("legacyToArea", ["i32", "i32"], [], (f) => {
		const [st, wide] = [f.param(0), f.param(1)];
		const to = f.let(area(st));
		f.memoryFill(to, 0, LEGACY.xmm);
		f.store("i32_16", to, F.fcw.of(st), 0);
		f.store("i32_16", to, call(core.fn("fpuStatus"), st), 2);
		f.store("i32_8", to, F.ftags.of(st), 4);
		f.store("i32_16", to, F.fop.of(st), 6);
		f.store("i64", to, F.fip.of(st), 8);
		f.store("i64", to, F.fdp.of(st), 16);
		f.if(wide.eqz(), () => {
			f.store("i32", to, F.fcs.of(st).and(0xffff), 12);
			f.store("i32", to, F.fds.of(st).and(0xffff), 20);
		});
		f.call(core.fn("registersToArea"), st, LEGACY.registers, SLOT);
	});

	core.define("legacyFromArea", ["i32", "i32"], [], (f) => {
		const [st, wide] = [f.param(0), f.param(1)];
		const from = f.let(area(st));
		f.call(core.fn("fpuSetControl"), st, from.load("i32_16u", 0));
		f.call(core.fn("fpuSetStatus"), st, from.load("i32_16u", 2));
		F.ftags.set(f, st, from.load("i32_8u", 4));
		F.fop.set(f, st, from.load("i32_16u", 6).and(0x7ff));
		const pointer = (at: number): Ex => from.load("i64", at).when(wide, from.load("i64_32u", at));
		F.fip.set(f, st, pointer(8));
		F.fdp.set(f, st, pointer(16));
		F.fcs.set(f, st, i32(0).when(wide, from.load("i32_16u", 12)));
		F.fds.set(f, st, i32(0).when(wide, from.load("i32_16u", 20)));
		f.call(core.fn("registersFromArea"), st, LEGACY.registers, SLOT);
	});

	core.define("mxcsrToArea", ["i32"], [], (f) => {
		const to = f.let(area(f.param(0)));
		f.store("i32", to, F.mxcsr.of(f.param(0)), LEGACY.mxcsr);
		f.store("i32", to, MXCSR_MASK, LEGACY.mask);
	});

	/** `vectorsToArea(state, half, at)`: the low (0) or high (16) halves of as many vector registers as the mode has. */
	core.define("vectorsToArea", ["i32", "i32", "i32"], [], (f) => {
		const [st, half] = [f.param(0), f.param(1)];
		const to = f.let(area(st).add(f.param(2)));
		const from = f.let(st.add(half).add(F.ymm.offset));
		const n = f.let(vectorCount(st));
		f.while(n.ne(0), () => {
			f.memoryCopy(to, from, SLOT);
			f.set(to, to.add(SLOT));
			f.set(from, from.add(YMM_BYTES));
			f.set(n, n.sub(1));
		});
	});

	core.define("vectorsFromArea", ["i32", "i32", "i32"], [], (f) => {
		const [st, half] = [f.param(0), f.param(1)];
		const from = f.let(area(st).add(f.param(2)));
		const to = f.let(st.add(half).add(F.ymm.offset));
		const n = f.let(vectorCount(st));
		f.while(n.ne(0), () => {
			f.memoryCopy(to, from, SLOT);
			f.set(from, from.add(SLOT));
			f.set(to, to.add(YMM_BYTES));
			f.set(n, n.sub(1));
		});
	});

	const withSse = (st: Ex): Ex => F.cr4.of(st).wrap().and(CR4.osfxsr).ne(0);
	const legacyBytes = (st: Ex): Ex => vectorCount(st).mul(SLOT).add(LEGACY.xmm);

	// Without CR4.OSFXSR neither MXCSR nor XMM registers are in the image. Bytes that mean nothing are left as they are.
	core.define("helper_fxsave", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, wide] = [f.param(0), f.param(1), f.param(2), f.param(4)];
		const linear = alignedOperand(core, f, st, rec, offset, LEGACY.end, SLOT, true);
		f.call(core.fn("legacyToArea"), st, wide);
		f.if(withSse(st), () => {
			f.call(core.fn("mxcsrToArea"), st);
			f.call(core.fn("vectorsToArea"), st, 0, LEGACY.xmm);
			f.return(call(core.fn("areaStore"), st, rec, linear, legacyBytes(st), 0));
		});
		const status = f.let(call(core.fn("areaStore"), st, rec, linear, LEGACY.mxcsr, 0));
		f.returnIf(status.eq(STATUS.stopHere), status);
		const registers = linear.add(BigInt(LEGACY.registers));
		const bytes = LEGACY.xmm - LEGACY.registers;
		f.return(call(core.fn("areaStore"), st, rec, registers, bytes, LEGACY.registers));
	});

	core.define("helper_fxrstor", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, wide] = [f.param(0), f.param(1), f.param(2), f.param(4)];
		const linear = alignedOperand(core, f, st, rec, offset, LEGACY.end, SLOT, false);
		f.check(call(core.fn("areaLoad"), st, rec, linear, legacyBytes(st), 0));
		f.if(withSse(st), () => {
			const mxcsr = f.let(area(st).load("i32", LEGACY.mxcsr));
			f.if(mxcsr.and(~MXCSR_MASK), () => f.return(call(core.fn("raise"), st, VECTOR.GP, 0)));
			F.mxcsr.set(f, st, mxcsr);
			f.call(core.fn("vectorsFromArea"), st, 0, LEGACY.xmm);
		});
		f.call(core.fn("legacyFromArea"), st, wide);
		f.return(STATUS.next);
	});
}
