import { RAX } from "../../../isa/registers.ts";
import { type Ex, i32 } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { ACCESS, F, GPRS, REC, STATUS } from "../../layout.ts";
import { FSW } from "../control-bits.ts";
import type { Core } from "../core.ts";
import { isReal } from "../mode.ts";
import { segmentLinear } from "../segment-access.ts";
import { EXCEPTIONS, EXPONENT_MAX, FCW, signExponentOf, significandOf, stackRegister } from "./format.ts";

const OPCODE_MASK = 0x7ff;
/** Bytes of a stored register. */
const REGISTER = 10;

/** Control, status and tag words, and the environments of FSTENV and FSAVE. */
export function defineEnvironment(core: Core): void {
	defineWords(core);
	defineImages(core);

	core.define("fpuInitialize", ["i32"], [], (f) => {
		const st = f.param(0);
		F.fcw.set(f, st, FCW.initial);
		for (const field of [F.fsw, F.ftop, F.ftags, F.fop, F.fcs, F.fds, F.fpuIgnore]) field.set(f, st, 0);
		F.fip.set(f, st, 0);
		F.fdp.set(f, st, 0);
	});

	const simple = (name: string, body: (f: FunctionBuilder, st: Ex) => void): void => {
		core.define(`helper_${name}`, ["i32", "i32"], ["i32"], (f) => {
			body(f, f.param(0));
			f.return(STATUS.next);
		});
	};
	simple("fpuInitialize", (f, st) => f.call(core.fn("fpuInitialize"), st));
	simple("fpuClearExceptions", (f, st) => {
		F.fsw.set(f, st, F.fsw.of(st).and(FSW.c0 | FSW.c1 | FSW.c2 | FSW.c3));
		F.fpuIgnore.set(f, st, 0);
	});
	// FWAIT, and what the 80287 had beyond it: the checks are all there is.
	simple("fpuNothing", () => {});
	simple("fpuStatusToAx", (f, st) => f.store("i32_16", st, call(core.fn("fpuStatus"), st), GPRS + RAX * 8));

	core.define("helper_fpuLoadControl", ["i32", "i32", "i32"], ["i32"], (f) => {
		const st = f.param(0);
		f.call(core.fn("fpuSetControl"), st, f.param(2));
		f.return(STATUS.next);
	});
	const storeWord = (name: string, value: (st: Ex) => Ex): void => {
		core.define(`helper_${name}`, ["i32", "i32", "i64"], ["i32"], (f) => {
			const [st, rec] = [f.param(0), f.param(1)];
			const segment = rec.load("i32_8u", REC.segment);
			f.return(call(core.fn("storeAt"), st, rec, segment, f.param(2), 2, value(st).extU()));
		});
	};
	storeWord("fpuStoreControl", (st) => F.fcw.of(st));
	storeWord("fpuStoreStatus", (st) => call(core.fn("fpuStatus"), st));

	/** `linear`: of a memory operand of `bytes` bytes, aligned as its words of 2 or 4 bytes are. */
	const place = (f: FunctionBuilder, st: Ex, rec: Ex, offset: Ex, bytes: Ex, word: Ex, write: boolean) => {
		const linear = segmentLinear(core, f, st, rec.load("i32_8u", REC.segment), offset, bytes, write);
		const rights = call(core.fn("accessRights"), st, write ? ACCESS.write : ACCESS.read);
		f.if(F.fillable.of(st).eqz(), () => f.check(call(core.fn("checkAlignment"), st, linear, word, rights)));
		return linear;
	};

	// FNSTENV, or FNSAVE with `all`; `size` is the operand size in bytes.
	core.define("helper_fpuStoreEnvironment", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, size, all] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const word = f.let(i32(2).when(size.eq(2), 4));
		const bytes = f.let(word.mul(7).add(all.mul(8 * REGISTER)));
		const linear = place(f, st, rec, offset, bytes, word, true);
		f.call(core.fn("environmentToArea"), st, word);
		f.if(all, () => f.call(core.fn("registersToArea"), st, word.mul(7), REGISTER));
		const status = f.let(call(core.fn("areaStore"), st, rec, linear, bytes, 0));
		f.returnIf(status.eq(STATUS.stopHere), status);
		f.if(
			all,
			() => f.call(core.fn("fpuInitialize"), st),
			() => f.call(core.fn("fpuSetControl"), st, F.fcw.of(st).or(EXCEPTIONS)),
		);
		f.return(status);
	});

	// FLDENV, or FRSTOR with `all`.
	core.define("helper_fpuLoadEnvironment", ["i32", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, offset, size, all] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const word = f.let(i32(2).when(size.eq(2), 4));
		const bytes = f.let(word.mul(7).add(all.mul(8 * REGISTER)));
		const linear = place(f, st, rec, offset, bytes, word, false);
		f.check(call(core.fn("areaLoad"), st, rec, linear, bytes, 0));
		f.call(core.fn("environmentFromArea"), st, word);
		f.if(all, () => f.call(core.fn("registersFromArea"), st, word.mul(7), REGISTER));
		f.return(STATUS.next);
	});
}

function defineWords(core: Core): void {
	/** `fpuStatus(state)` → the status word with TOP. */
	core.define("fpuStatus", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		f.return(F.fsw.of(st).or(F.ftop.of(st).shl(11)));
	});

	core.define("fpuSetControl", ["i32", "i32"], [], (f) => {
		const st = f.param(0);
		F.fcw.set(f, st, f.param(1).and(FCW.existing).or(FCW.fixed));
		f.call(core.fn("fpuSummary"), st);
	});

	/** `fpuSetStatus(state, word)`: call after the control word was set. */
	core.define("fpuSetStatus", ["i32", "i32"], [], (f) => {
		const [st, word] = [f.param(0), f.param(1)];
		F.ftop.set(f, st, word.shrU(11).and(7));
		F.fsw.set(f, st, word.and(0xffff & ~0x3800));
		f.call(core.fn("fpuSummary"), st);
	});

	/** `fpuTagWord(state)` → two bits for each register: 0 valid, 1 zero, 2 special, 3 empty (SDM 1 8.1.7). */
	core.define("fpuTagWord", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const n = f.local("i32", 8);
		const tags = f.local("i32", 0);
		f.while(n.ne(0), () => {
			f.set(n, n.sub(1));
			const at = f.let(st.add(n.shl(4)).add(F.fpr.offset));
			const exponent = f.let(signExponentOf(at).and(EXPONENT_MAX));
			const significand = f.let(significandOf(at));
			const zero = exponent.extU().or(significand).eqz();
			const valid = exponent
				.sub(1)
				.ltU(EXPONENT_MAX - 1)
				.and(significand.ltS(0n));
			const tag = i32(0).when(valid, i32(1).when(zero, 2));
			const empty = F.ftags.of(st).shrU(n).and(1).eqz();
			f.set(tags, tags.shl(2).or(i32(3).when(empty, tag)));
		});
		f.return(tags);
	});

	/** `fpuSetTagWord(state, word)`: only which registers are empty is kept. */
	core.define("fpuSetTagWord", ["i32", "i32"], [], (f) => {
		const [st, word] = [f.param(0), f.param(1)];
		const n = f.local("i32", 8);
		const tags = f.local("i32", 0);
		f.while(n.ne(0), () => {
			f.set(n, n.sub(1));
			f.set(tags, tags.shl(1).or(word.shrU(n.shl(1)).and(3).ne(3)));
		});
		F.ftags.set(f, st, tags);
	});
}

/** Images of FSTENV's words and of the registers in F.area (SDM 1 figures 8-9 to 8-12). */
function defineImages(core: Core): void {
	const at = (st: Ex): Ex => st.add(F.area.offset);

	/** `environmentToArea(state, word)`: seven words of 2 or 4 bytes. */
	core.define("environmentToArea", ["i32", "i32"], [], (f) => {
		const [st, word] = [f.param(0), f.param(1)];
		const area = f.let(at(st));
		const values = [F.fcw.of(st), call(core.fn("fpuStatus"), st), call(core.fn("fpuTagWord"), st)].map((v) => f.let(v));
		const opcode = F.fop.of(st).and(OPCODE_MASK);
		const real = f.let(isReal(st));
		const [ip, dp] = [f.let(F.fip.of(st).wrap()), f.let(F.fdp.of(st).wrap())];
		f.if(real, () => {
			f.set(ip, ip.add(F.fcs.of(st).shl(4)));
			f.set(dp, dp.add(F.fds.of(st).shl(4)));
		});
		f.if(
			word.eq(2),
			() => {
				values.forEach((value, n) => {
					f.store("i32_16", area, value, n * 2);
				});
				const high = (pointer: Ex): Ex => pointer.shrU(16).and(15).shl(12);
				f.store("i32_16", area, ip, 6);
				f.store("i32_16", area, high(ip).or(opcode).when(real, F.fcs.of(st)), 8);
				f.store("i32_16", area, dp, 10);
				f.store("i32_16", area, high(dp).when(real, F.fds.of(st)), 12);
			},
			() => {
				values.forEach((value, n) => {
					f.store("i32", area, value.or(0xffff0000), n * 4);
				});
				const high = (pointer: Ex): Ex => pointer.shrU(16).shl(12);
				f.store("i32", area, ip.and(0xffff).when(real, ip), 12);
				f.store(
					"i32",
					area,
					high(ip)
						.or(opcode)
						.when(real, F.fcs.of(st).or(opcode.shl(16))),
					16,
				);
				f.store("i32", area, dp.and(0xffff).when(real, dp), 20);
				f.store("i32", area, high(dp).when(real, F.fds.of(st).or(0xffff0000)), 24);
			},
		);
	});

	core.define("environmentFromArea", ["i32", "i32"], [], (f) => {
		const [st, word] = [f.param(0), f.param(1)];
		const area = f.let(at(st));
		const wide = f.let(word.eq(4));
		const half = (n: number): Ex => area.add(word.mul(n)).load("i32_16u");
		const real = f.let(isReal(st));
		const [ip, second, dp, fourth] = [f.let(half(3)), f.let(half(4)), f.let(half(5)), f.let(half(6))];
		f.call(core.fn("fpuSetControl"), st, half(0));
		f.call(core.fn("fpuSetStatus"), st, half(1));
		f.call(core.fn("fpuSetTagWord"), st, half(2));
		f.if(
			real,
			() => {
				f.if(wide, () => {
					f.set(second, area.load("i32", 16));
					f.set(fourth, area.load("i32", 24));
				});
				F.fop.set(f, st, second.and(OPCODE_MASK));
				F.fip.set(f, st, ip.or(second.shrU(12).shl(16)).extU());
				F.fdp.set(f, st, dp.or(fourth.shrU(12).shl(16)).extU());
				F.fcs.set(f, st, 0);
				F.fds.set(f, st, 0);
			},
			() => {
				f.if(wide, () => {
					F.fop.set(f, st, area.load("i32_16u", 18).and(OPCODE_MASK));
					f.set(ip, area.load("i32", 12));
					f.set(dp, area.load("i32", 20));
				});
				F.fip.set(f, st, ip.extU());
				F.fdp.set(f, st, dp.extU());
				F.fcs.set(f, st, second);
				F.fds.set(f, st, fourth);
			},
		);
	});

	/** `registersToArea(state, at, stride)`: ST(0) to ST(7), ten bytes each, every `stride` bytes from F.area + `at`. */
	core.define("registersToArea", ["i32", "i32", "i32"], [], (f) => {
		const [st, stride] = [f.param(0), f.param(2)];
		const to = f.let(at(st).add(f.param(1)));
		const n = f.local("i32", 0);
		f.while(n.ltU(8), () => {
			const from = f.let(stackRegister(st, n));
			f.store("i64", to, significandOf(from));
			f.store("i32_16", to, signExponentOf(from), 8);
			f.set(to, to.add(stride));
			f.set(n, n.add(1));
		});
	});

	core.define("registersFromArea", ["i32", "i32", "i32"], [], (f) => {
		const [st, stride] = [f.param(0), f.param(2)];
		const from = f.let(at(st).add(f.param(1)));
		const n = f.local("i32", 0);
		f.while(n.ltU(8), () => {
			const to = f.let(stackRegister(st, n));
			f.store("i64", to, from.load("i64"));
			f.store("i32", to, from.load("i32_16u", 8), 8);
			f.set(from, from.add(stride));
			f.set(n, n.add(1));
		});
	});
}
