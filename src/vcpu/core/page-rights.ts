import { RAX, RCX, RDX, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, F, GPRS, STATUS } from "../layout.ts";
import { CR4, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { isCanonicalBase } from "./msr.ts";
import { segmentLinear } from "./segment-access.ts";

/** STAC, CLAC, RDPKRU, WRPKRU, INVPCID: what pages let through, and what is remembered of them. */
export function definePageRights(core: Core): void {
	core.define("helper_setAlignmentCheck", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, value] = [f.param(0), f.param(2)];
		f.if(F.cpl.of(st).ne(0), () => raise(core, f, st, VECTOR.UD));
		F.eflags.set(f, st, F.eflags.of(st).and(~EFLAGS.ac).or(value.mul(EFLAGS.ac)));
		f.call(core.fn("updateMode"), st);
		f.return(STATUS.stopNext);
	});

	/** `setPkru(state, value)`: translations are looked up anew where they can depend on it. */
	core.define("setPkru", ["i32", "i32"], [], (f) => {
		const [st, value] = [f.param(0), f.param(1)];
		f.if(F.pkru.of(st).eq(value), () => f.return());
		F.pkru.set(f, st, value);
		f.if(F.cr4.of(st).wrap().and(CR4.pke).ne(0), () => f.call(core.fn("flushTlb"), st, 0));
	});

	core.define("helper_rdpkru", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		checkKeys(core, f, st, gpr(st, RCX));
		f.store("i64", st, F.pkru.of(st).extU(), GPRS + RAX * 8);
		f.store("i64", st, 0n, GPRS + RDX * 8);
		f.return(STATUS.next);
	});

	core.define("helper_wrpkru", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		checkKeys(core, f, st, gpr(st, RCX).or(gpr(st, RDX)));
		f.call(core.fn("setPkru"), st, gpr(st, RAX));
		f.return(STATUS.stopNext);
	});

	/** `helper_invpcid(state, record, segment, offset, type)`. Process contexts are not told apart: more is forgotten than asked. */
	core.define("helper_invpcid", ["i32", "i32", "i32", "i64", "i64"], ["i32"], (f) => {
		const [st, rec, segment, type] = [f.param(0), f.param(1), f.param(2), f.param(4)];
		const address = segmentLinear(core, f, st, segment, f.param(3), 16, false);
		f.check(call(core.fn("load"), st, rec, address, 16, ACCESS.read));
		const context = f.let(F.data.of(st));
		const linear = f.let(F.data.of(st, 8));
		const [one, single] = [type.eq(0n), type.leU(1n)];
		const without = F.cr4.of(st).wrap().and(CR4.pcide).eqz();
		const refused = type
			.gtU(3n)
			.or(context.shrU(12).ne(0n))
			.or(one.and(isCanonicalBase(st, linear).eqz()))
			.or(single.and(without).and(context.ne(0n)));
		f.if(refused, () => raise(core, f, st, VECTOR.GP));
		f.if(
			one,
			() => f.call(core.fn("flushAround"), st, linear),
			() => f.call(core.fn("flushTlb"), st, type.ne(2n)),
		);
		f.return(STATUS.stopNext);
	});
}

function raise(core: Core, f: FunctionBuilder, st: Ex, vector: number): void {
	f.return(call(core.fn("raise"), st, vector, 0));
}

function gpr(st: Ex, n: number): Ex {
	return st.load("i32", GPRS + n * 8);
}

/** #UD without CR4.PKE, #GP(0) where registers that must be 0 are not. */
function checkKeys(core: Core, f: FunctionBuilder, st: Ex, zero: Ex): void {
	f.if(F.cr4.of(st).wrap().and(CR4.pke).eqz(), () => raise(core, f, st, VECTOR.UD));
	f.if(zero.ne(i32(0)), () => raise(core, f, st, VECTOR.GP));
}
