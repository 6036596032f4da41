import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, GPRS, PENDING, SEG, STATUS, segmentOffset } from "../layout.ts";
import { CR0, CR4, EFER } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { SYSTEM_TYPE, systemType } from "./descriptors.ts";
import { is64Bit, isCanonical, isLongMode, segmentAddress } from "./mode.ts";
import { isCanonicalBase } from "./msr.ts";
import { segmentLinear } from "./segment-access.ts";

/** Bits of CR0 that exist; the others read as 0 whatever is written (SDM 3A 2.5). */
const CR0_EXISTING = CR0.pe | CR0.mp | CR0.em | CR0.ts | CR0.et | CR0.ne | CR0.wp | CR0.am | CR0.nw | CR0.cd | CR0.pg;

/** Changes that make PAE paging load its page-directory pointers (SDM 3A 4.4.1). */
const CR0_LOADS_PDPTES = CR0.pg | CR0.nw | CR0.cd;

/** Bits of CR4 that decide what page tables mean. */
const CR4_TRANSLATES = CR4.pge | CR4.pae | CR4.pse | CR4.la57 | CR4.pcide | CR4.smep | CR4.smap | CR4.pke | CR4.pks;

/** CR3: the process context; a value's bit that keeps its translations; bits that no address has. */
const PCID = 0xfff;
const KEEP_CONTEXT = 1n << 63n;
const BEYOND_PHYSICAL = -(1n << 52n);

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
		f.returnIf(isCanonical(st, linear).eqz(), STATUS.next);
		f.call(core.fn("flushAround"), st, linear);
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

/** Sets EFER.LMA, or #GP(0): PAE is off, CS is a 64-bit segment, the TSS is a 16-bit one (SDM 3A 10.8.5). */
function enterLongMode(core: Core, f: FunctionBuilder, st: Ex): void {
	const attributes = (segment: number): Ex => SEG.attributes.of(st, segmentOffset(segment));
	const code64 = attributes(SEGMENT.cs).and(ATTR.long).ne(0);
	const tss16 = systemType(attributes(SEGMENT.tr)).and(~SYSTEM_TYPE.busy).eq(SYSTEM_TYPE.tss16);
	const pae = F.cr4.of(st).wrap().and(CR4.pae).ne(0);
	f.if(pae.eqz().or(code64).or(tss16), () => raise(core, f, st, VECTOR.GP));
	F.efer.set(f, st, F.efer.of(st).or(BigInt(EFER.lma)));
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
		const efer = f.let(F.efer.of(st));
		f.if(changed.and(CR0.pg).ne(0), () => {
			f.if(
				set(CR0.pg),
				() => f.if(efer.wrap().and(EFER.lme).ne(0), () => enterLongMode(core, f, st)),
				() => {
					const pcid = F.cr4.of(st).wrap().and(CR4.pcide).ne(0);
					f.if(is64Bit(st).or(pcid), () => raise(core, f, st, VECTOR.GP));
					F.efer.set(f, st, efer.and(BigInt(~EFER.lma)));
				},
			);
		});
		F.cr0.set(f, st, value.extU());
		f.if(changed.and(CR0_LOADS_PDPTES).ne(0).and(set(CR0.pg)), () => {
			// PAE paging loads the page-directory pointers (SDM 3A 4.4.1).
			f.if(call(core.fn("loadCr3"), st, F.cr3.of(st)), () => {
				F.cr0.set(f, st, old.extU());
				F.efer.set(f, st, efer);
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
		const long = f.let(isLongMode(st));
		const becomes = (bit: number): Ex => changed.and(value.wrap()).and(bit).ne(0);
		// Neither the kind of paging nor its levels change in long mode; process contexts start there with number 0 (SDM 3A 2.5).
		f.if(long.and(changed.and(CR4.pae | CR4.la57).ne(0)), () => raise(core, f, st, VECTOR.GP));
		const inContext = F.cr3.of(st).wrap().and(PCID).ne(0);
		f.if(becomes(CR4.pcide).and(long.eqz().or(inContext)), () => raise(core, f, st, VECTOR.GP));
		F.cr4.set(f, st, value);
		f.if(changed.and(CR4.pae | CR4.pge | CR4.pse | CR4.smep).ne(0), () => {
			f.if(call(core.fn("loadCr3"), st, F.cr3.of(st)), () => {
				F.cr4.set(f, st, old);
				f.return(STATUS.stopHere);
			});
		});
		f.if(changed.and(CR4_TRANSLATES).ne(0), () => f.call(core.fn("flushTlb"), st, 0));
		f.call(core.fn("updateMode"), st);
		f.return(STATUS.stopNext);
	});

	core.define("helper_readControl", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, number, register] = [f.param(0), f.param(2), f.param(3)];
		const give = (value: Ex) => (): void => {
			f.store("i64", gprAt(st, register), value.and(F.linearMask.of(st)), GPRS);
			f.return(STATUS.next);
		};
		f.switch(number, [
			give(F.cr0.of(st)),
			undefined,
			give(F.cr2.of(st)),
			give(F.cr3.of(st)),
			give(F.cr4.of(st)),
			undefined,
			undefined,
			undefined,
			give(F.cr8.of(st).extU()),
		]);
		raise(core, f, st, VECTOR.UD);
	});

	core.define("helper_writeControl", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, number, register] = [f.param(0), f.param(1), f.param(2), f.param(3)];
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
				f.if(isLongMode(st), () => {
					// Bit 63 keeps what is cached for the process context. It may be forgotten all the same (SDM 3A 4.10.4.1).
					const keep = F.cr4.of(st).wrap().and(CR4.pcide).ne(0);
					f.if(keep, () => f.set(value, value.and(KEEP_CONTEXT - 1n)));
					const reserved = F.physicalReserved.of(st).or(BEYOND_PHYSICAL);
					f.if(value.and(reserved).ne(0n), () => raise(core, f, st, VECTOR.GP));
				});
				f.check(call(core.fn("loadCr3"), st, value));
				f.return(STATUS.stopNext);
			},
			() => f.return(call(core.fn("setCr4"), st, value)),
			undefined,
			undefined,
			undefined,
			() => {
				f.if(value.gtU(15n), () => raise(core, f, st, VECTOR.GP));
				f.call(core.fn("writeCr8"), st, rec, value.wrap());
				f.return(STATUS.stopNext);
			},
		]);
		raise(core, f, st, VECTOR.UD);
	});

	core.define("helper_clts", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		F.cr0.set(f, st, F.cr0.of(st).and(BigInt(~CR0.ts)));
		f.call(core.fn("updateMode"), st);
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
		f.if(isCanonicalBase(st, base).eqz(), () => raise(core, f, st, VECTOR.GP));
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
