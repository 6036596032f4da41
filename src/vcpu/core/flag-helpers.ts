import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import type { Ex } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, STATUS } from "../layout.ts";
import { CR4, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { isV86 } from "./mode.ts";
import { setStackPointer, stackOffset } from "./segment-access.ts";

/** What POPF may change at any privilege level (SDM 2B POPF, table 4-16). */
const ANYONE =
	EFLAGS.cf |
	EFLAGS.pf |
	EFLAGS.af |
	EFLAGS.zf |
	EFLAGS.sf |
	EFLAGS.tf |
	EFLAGS.df |
	EFLAGS.of |
	EFLAGS.nt |
	EFLAGS.ac |
	EFLAGS.id;

function iopl(st: Ex): Ex {
	return F.eflags.of(st).and(EFLAGS.iopl).shrU(EFLAGS.ioplShift);
}

function cr4Has(st: Ex, bit: number): Ex {
	return F.cr4.of(st).wrap().and(bit).ne(0);
}

function generalProtection(core: Core, f: FunctionBuilder, st: Ex): void {
	f.return(call(core.fn("raise"), st, VECTOR.GP, 0));
}

/** Whether CLI and STI act on VIF in the place of IF: virtual-8086 mode with VME, or CPL 3 with PVI (SDM 3A 20.3, 20.4). */
function virtualInterrupts(st: Ex): Ex {
	return isV86(st)
		.and(cr4Has(st, CR4.vme))
		.or(isV86(st).eqz().and(F.cpl.of(st).eq(3)).and(cr4Has(st, CR4.pvi)));
}

/** CLI, STI, CLD, STD, PUSHF, POPF. */
export function defineFlagHelpers(core: Core): void {
	core.define("helper_setDirection", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, value] = [f.param(0), f.param(2)];
		F.eflags.set(f, st, F.eflags.of(st).and(~EFLAGS.df).or(value.mul(EFLAGS.df)));
		f.return(STATUS.next);
	});

	core.define("helper_cli", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const clear = (bit: number): void => {
			F.eflags.set(f, st, F.eflags.of(st).and(~bit));
			f.return(STATUS.next);
		};
		f.if(F.cpl.of(st).leU(iopl(st)), () => clear(EFLAGS.if));
		f.if(virtualInterrupts(st), () => clear(EFLAGS.vif));
		generalProtection(core, f, st);
	});

	core.define("helper_sti", ["i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		const flags = f.let(F.eflags.of(st));
		f.if(F.cpl.of(st).leU(iopl(st)), () => {
			// Interrupts wait for one more instruction, but only where they were off (SDM 2B STI).
			f.if(flags.and(EFLAGS.if).eqz(), () => F.shadow.set(f, st, F.shadow.of(st).or(1)));
			F.eflags.set(f, st, flags.or(EFLAGS.if));
			f.return(STATUS.stopNext);
		});
		f.if(virtualInterrupts(st).and(flags.and(EFLAGS.vip).eqz()), () => {
			F.eflags.set(f, st, flags.or(EFLAGS.vif));
			f.return(STATUS.next);
		});
		generalProtection(core, f, st);
	});

	core.define("helper_pushFlags", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, bytes] = [f.param(0), f.param(1), f.param(2)];
		const flags = f.let(call(core.fn("readFlags"), st).and(~(EFLAGS.rf | EFLAGS.vm)));
		f.if(isV86(st).and(iopl(st).ne(3)), () => {
			f.if(cr4Has(st, CR4.vme).and(bytes.eq(2)).eqz(), () => generalProtection(core, f, st));
			const virtual = flags.and(EFLAGS.vif).ne(0).mul(EFLAGS.if);
			f.set(flags, flags.and(~EFLAGS.if).or(EFLAGS.iopl).or(virtual));
		});
		const offset = f.let(stackOffset(st, bytes.extU().neg()));
		const status = f.let(call(core.fn("storeAt"), st, rec, SEGMENT.ss, offset, bytes, flags.extU()));
		f.if(status.ne(STATUS.stopHere), () => setStackPointer(f, st, offset));
		f.return(status);
	});

	core.define("helper_popFlags", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, bytes] = [f.param(0), f.param(1), f.param(2)];
		const virtual = f.let(isV86(st).and(iopl(st).ne(3)));
		f.if(virtual.and(cr4Has(st, CR4.vme).and(bytes.eq(2)).eqz()), () => generalProtection(core, f, st));
		f.check(call(core.fn("loadAt"), st, rec, SEGMENT.ss, stackOffset(st, 0), bytes));
		const popped = f.let(F.data.of(st).wrap());
		const old = f.let(call(core.fn("readFlags"), st));
		const may = f.local("i32", ANYONE);
		f.if(
			virtual,
			() => {
				const interrupts = popped.and(EFLAGS.if).ne(0);
				const refused = popped
					.and(EFLAGS.tf)
					.ne(0)
					.or(interrupts.and(old.and(EFLAGS.vip).ne(0)));
				f.if(refused, () => generalProtection(core, f, st));
				f.set(popped, popped.and(~EFLAGS.vif).or(interrupts.mul(EFLAGS.vif)));
				// Of sixteen bits popped, VIF takes the place of IF.
				f.set(may, (ANYONE & 0xffff) | EFLAGS.vif);
			},
			() => {
				f.if(F.cpl.of(st).leU(iopl(st)), () => f.set(may, may.or(EFLAGS.if)));
				f.if(F.cpl.of(st).eqz(), () => f.set(may, may.or(EFLAGS.iopl)));
				f.if(bytes.eq(2), () => f.set(may, may.and(0xffff)));
			},
		);
		setStackPointer(f, st, stackOffset(st, bytes.extU()));
		const flags = f.let(old.and(may.not()).or(popped.and(may)).and(~EFLAGS.rf));
		f.call(core.fn("writeFlags"), st, flags);
		f.if(old.xor(flags).and(EFLAGS.ac).ne(0), () => f.call(core.fn("updateMode"), st));
		f.return(STATUS.stopNext);
	});
}
