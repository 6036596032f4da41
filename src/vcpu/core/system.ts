import { VECTOR } from "../../isa/registers.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, F, GPRS, PENDING, SEG, STATUS } from "../layout.ts";
import { CR0, CR4 } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { segmentAddress } from "./mode.ts";
import { segmentLinear } from "./segment-access.ts";

/** Bits of CR0 that exist; the others read as 0 whatever is written (SDM 3A 2.5). */
const CR0_EXISTING = CR0.pe | CR0.mp | CR0.em | CR0.ts | CR0.et | CR0.ne | CR0.wp | CR0.am | CR0.nw | CR0.cd | CR0.pg;

/** Bits that LMSW writes: PE, which it cannot clear, MP, EM and TS. */
const MSW = CR0.pe | CR0.mp | CR0.em | CR0.ts;

const TABLE_BASES = [F.gdtBase, F.idtBase] as const;
const TABLE_LIMITS = [F.gdtLimit, F.idtLimit] as const;

/** Control registers, descriptor-table registers, INVLPG, HLT. */
export function defineSystem(core: Core): void {
	defineControlRegisters(core);
	defineTableRegisters(core);

	core.define("helper_invlpg", ["i32", "i32", "i32", "i64"], ["i32"], (f) => {
		const st = f.param(0);
		// Segment limits do not count (SDM 2A INVLPG).
		const segment = f.let(segmentAddress(st, f.param(2)));
		const linear = f.let(SEG.start.of(segment).add(f.param(3)).and(F.linearMask.of(st)));
		f.if(
			F.cr4
				.of(st)
				.wrap()
				.and(CR4.pse | CR4.pae)
				.ne(0),
			() => f.call(core.fn("flushLargePage"), st, linear),
			() => f.call(core.fn("flushPage"), st, linear),
		);
		f.return(STATUS.stopNext);
	});

	/** INVD and WBINVD: there is no cache. */
	core.define("helper_cacheFlush", ["i32", "i32"], ["i32"], (f) => f.return(STATUS.next));

	core.define("helper_hlt", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		F.halted.set(f, st, 1);
		F.pending.set(f, st, F.pending.of(st).or(PENDING.request));
		f.return(STATUS.stopNext);
	});
}

function raise(core: Core, f: FunctionBuilder, st: Ex, vector: number): void {
	f.return(call(core.fn("raise"), st, vector, 0));
}

function gprAt(st: Ex, number: Ex): Ex {
	return st.add(number.shl(3));
}

function defineControlRegisters(core: Core): void {
	/** `setCr0(state, value)` → stopNext, or stopHere with #GP(0) and nothing changed (SDM 2B MOV to control registers). */
	core.define("setCr0", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const value = f.let(f.param(1).and(CR0_EXISTING).or(CR0.et));
		const old = f.let(F.cr0.of(st).wrap());
		const set = (bit: number): Ex => value.and(bit).ne(0);
		f.if(
			set(CR0.pg)
				.and(set(CR0.pe).eqz())
				.or(set(CR0.nw).and(set(CR0.cd).eqz())),
			() => raise(core, f, st, VECTOR.GP),
		);
		const changed = f.let(old.xor(value));
		F.cr0.set(f, st, value.extU());
		f.if(changed.and(CR0.pg).ne(0).and(set(CR0.pg)), () => {
			// Entering PAE paging loads the page-directory pointers.
			f.if(call(core.fn("loadCr3"), st, F.cr3.of(st)), () => {
				F.cr0.set(f, st, old.extU());
				f.return(STATUS.stopHere);
			});
		});
		f.if(changed.and(CR0.pg | CR0.wp | CR0.pe).ne(0), () => f.call(core.fn("flushTlb"), st, 0));
		f.if(changed.and(CR0.pe).ne(0), () => f.call(core.fn("updateSegments"), st));
		f.if(changed.ne(0), () => f.call(core.fn("updateMode"), st));
		f.return(STATUS.stopNext);
	});

	/** `setCr4(state, value)` → stopNext, or stopHere with #GP(0) and nothing changed. */
	core.define("setCr4", ["i32", "i64"], ["i32"], (f) => {
		const [st, value] = [f.param(0), f.param(1)];
		const old = f.let(F.cr4.of(st));
		f.if(value.and(F.cr4Bits.of(st).not()).ne(0n), () => raise(core, f, st, VECTOR.GP));
		const changed = f.let(old.xor(value).wrap());
		F.cr4.set(f, st, value);
		f.if(changed.and(CR4.pae).ne(0), () => {
			f.if(call(core.fn("loadCr3"), st, F.cr3.of(st)), () => {
				F.cr4.set(f, st, old);
				f.return(STATUS.stopHere);
			});
		});
		f.if(changed.and(CR4.pge | CR4.pae | CR4.pse).ne(0), () => f.call(core.fn("flushTlb"), st, 0));
		f.call(core.fn("updateMode"), st);
		f.return(STATUS.stopNext);
	});

	core.define("helper_readControl", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, number, register] = [f.param(0), f.param(2), f.param(3)];
		const give = (value: Ex) => (): void => {
			f.store("i64", gprAt(st, register), value.and(F.linearMask.of(st)), GPRS);
			f.return(STATUS.next);
		};
		f.switch(number, [give(F.cr0.of(st)), undefined, give(F.cr2.of(st)), give(F.cr3.of(st)), give(F.cr4.of(st))]);
		raise(core, f, st, VECTOR.UD);
	});

	core.define("helper_writeControl", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, number, register] = [f.param(0), f.param(2), f.param(3)];
		const value = f.let(gprAt(st, register).load("i64", GPRS).and(F.linearMask.of(st)));
		f.switch(number, [
			() => {
				f.if(value.shrU(32).ne(0n), () => raise(core, f, st, VECTOR.GP));
				f.return(call(core.fn("setCr0"), st, value.wrap()));
			},
			undefined,
			() => {
				F.cr2.set(f, st, value);
				f.return(STATUS.next);
			},
			() => {
				// Reserved bits are ignored outside long mode; what is written is what is read back.
				f.check(call(core.fn("loadCr3"), st, value));
				f.return(STATUS.stopNext);
			},
			() => f.return(call(core.fn("setCr4"), st, value)),
		]);
		raise(core, f, st, VECTOR.UD);
	});

	core.define("helper_clts", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		F.cr0.set(f, st, F.cr0.of(st).and(BigInt(~CR0.ts)));
		f.return(STATUS.next);
	});

	core.define("helper_lmsw", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, value] = [f.param(0), f.param(2)];
		const old = F.cr0.of(st).wrap();
		const kept = old.and(~(MSW & ~CR0.pe));
		f.return(call(core.fn("setCr0"), st, kept.or(value.and(MSW))));
	});
}

/** LGDT, LIDT, SGDT, SIDT: a 16-bit limit, then the base. The first argument is 0 for the GDT and 1 for the IDT. */
function defineTableRegisters(core: Core): void {
	const baseBytes = (operandBytes: Ex): Ex => i32(8).when(operandBytes.eq(8), 4);

	core.define("helper_loadTable", ["i32", "i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, table, segment] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [offset, bytes] = [f.param(4), f.param(5)];
		f.check(call(core.fn("loadAt"), st, rec, segment, offset, baseBytes(bytes).add(2)));
		const limit = f.let(F.data.of(st).and(0xffff));
		const base = f.let(st.load("i64", F.data.offset + 2));
		f.if(bytes.ne(8), () => f.set(base, base.and(0xffffffffn)));
		// The base has 24 bits with a 16-bit operand size (SDM 2A LGDT).
		f.if(bytes.eq(2), () => f.set(base, base.and(0xffffff)));
		TABLE_BASES.forEach((field, n) => {
			f.if(table.eq(n), () => {
				field.set(f, st, base);
				TABLE_LIMITS[n]?.set(f, st, limit);
			});
		});
		f.return(STATUS.next);
	});

	/** All 32 bits of the base are stored whatever the operand size, as processors since the 80386 do. */
	core.define("helper_storeTable", ["i32", "i32", "i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, table, segment] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [offset, bytes] = [f.param(4), f.param(5)];
		const size = f.let(baseBytes(bytes));
		const idt = f.let(table.ne(0));
		const linear = segmentLinear(core, f, st, segment, offset, size.add(2), true);
		F.data.set(f, st, F.idtLimit.of(st).when(idt, F.gdtLimit.of(st)));
		f.store("i64", st, F.idtBase.of(st).when(idt, F.gdtBase.of(st)), F.data.offset + 2);
		f.return(call(core.fn("store"), st, rec, linear, size.add(2), ACCESS.write));
	});
}
