import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, STATUS } from "../layout.ts";
import { EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import {
	attributesOf,
	dplOf,
	isConforming,
	isNull,
	limitOf,
	RPL,
	raise,
	SYSTEM_TYPE,
	selectorCode,
	systemType,
} from "./descriptors.ts";
import { isLongMode } from "./mode.ts";
import { writeGpr } from "./segments.ts";

/** System descriptors that LAR shows, as a bit set of types: TSSs, LDT, call and task gates (SDM 2A LAR). */
const LAR_TYPES = types(1, 2, 3, 4, 5, 9, 11, 12);
/** Those that have a limit (SDM 2A LSL). */
const LSL_TYPES = types(1, 2, 3, 9, 11);
/** Those that there are in long mode. */
const LONG_TYPES = types(2, 9, 11, 12);

function types(...list: number[]): number {
	return list.reduce((set, type) => set | (1 << type), 0);
}

/** LLDT, LTR, and the instructions that ask about a selector: LAR, LSL, VERR, VERW. CPL and mode are checked before. */
export function defineSelectors(core: Core): void {
	core.define("helper_lldt", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector] = [f.param(0), f.param(1), f.param(2)];
		f.if(isNull(selector), () => {
			f.call(core.fn("clearSegment"), st, SEGMENT.ldtr, selector);
			f.return(STATUS.next);
		});
		f.check(readSystem(core, st, rec, selector));
		const raw = f.let(F.data.of(st));
		const attributes = f.let(attributesOf(core, raw));
		f.returnIf(systemType(attributes).ne(SYSTEM_TYPE.ldt), raise(core, st, VECTOR.GP, selectorCode(selector, 0)));
		f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, selectorCode(selector, 0)));
		f.check(call(core.fn("readWideBase"), st, rec, selector, raw));
		f.call(core.fn("installSystem"), st, SEGMENT.ldtr, selector, raw, F.data.of(st));
		f.return(STATUS.next);
	});

	core.define("helper_ltr", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector] = [f.param(0), f.param(1), f.param(2)];
		f.returnIf(isNull(selector), raise(core, st, VECTOR.GP, 0));
		f.check(readSystem(core, st, rec, selector));
		const raw = f.let(F.data.of(st));
		const attributes = f.let(attributesOf(core, raw));
		const type = systemType(attributes);
		const free = type.eq(SYSTEM_TYPE.tss64).or(type.eq(SYSTEM_TYPE.tss16).and(isLongMode(st).eqz()));
		f.returnIf(free.eqz(), raise(core, st, VECTOR.GP, selectorCode(selector, 0)));
		f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, selectorCode(selector, 0)));
		f.check(call(core.fn("readWideBase"), st, rec, selector, raw));
		const base = f.let(F.data.of(st));
		f.check(call(core.fn("writeType"), st, rec, selector, attributes.or(SYSTEM_TYPE.busy)));
		f.call(core.fn("installSystem"), st, SEGMENT.tr, selector, raw.or(BigInt(SYSTEM_TYPE.busy) << 40n), base);
		f.return(STATUS.next);
	});

	/** `lookUp(state, record, selector)` → status; the descriptor in F.data, 0 where the selector is null or outside. */
	core.define("lookUp", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector] = [f.param(0), f.param(1), f.param(2)];
		const address = f.let(call(core.fn("descriptorAddress"), st, selector));
		f.if(isNull(selector).or(address.eq(-1)), () => {
			F.data.set(f, st, 0);
			f.return(0);
		});
		f.return(call(core.fn("load"), st, rec, address, 8, ACCESS.system));
	});

	// Bits 19:16, undefined by the manual, show the limit's, as processors have it.
	defineShow(core, "helper_lar", LAR_TYPES, (raw) => raw.shrU(32).and(0x00ffff00n));
	defineShow(core, "helper_lsl", LSL_TYPES, (raw) => limitOf(core, raw));

	core.define("helper_verify", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector, write] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		f.check(call(core.fn("lookUp"), st, rec, selector));
		const attributes = f.let(attributesOf(core, F.data.of(st)));
		const code = f.let(attributes.and(ATTR.code).ne(0));
		// Bit 1: data may be written, code may be read.
		const bit = f.let(attributes.and(ATTR.writable).ne(0));
		const usable = f.let(bit.and(code.eqz()).when(write, bit.or(code.eqz())));
		f.set(usable, usable.and(attributes.and(ATTR.s).ne(0)).and(visible(f, st, selector, attributes)));
		setZero(core, f, st, usable);
		f.return(STATUS.next);
	});
}

/** Reads a descriptor that must lie in the GDT. */
function readSystem(core: Core, st: Ex, rec: Ex, selector: Ex): Ex {
	return call(core.fn("readGlobal"), st, rec, selector, VECTOR.GP, 0);
}

/** Defines LAR or LSL: shows part of a descriptor where its type and privilege allow it, and says so in ZF. */
function defineShow(core: Core, name: string, types: number, part: (raw: Ex) => Ex): void {
	core.define(name, ["i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector] = [f.param(0), f.param(1), f.param(2)];
		const [register, bytes] = [f.param(3), f.param(4)];
		f.check(call(core.fn("lookUp"), st, rec, selector));
		const raw = f.let(F.data.of(st));
		const attributes = f.let(attributesOf(core, raw));
		// In long mode those that remain are the LDT and the 64-bit ones.
		const shownTypes = i32(types & LONG_TYPES).when(isLongMode(st), types);
		const known = attributes
			.and(ATTR.s)
			.ne(0)
			.or(shownTypes.shrU(attributes.and(ATTR.typeMask)).and(1));
		const shown = f.let(known.and(visible(f, st, selector, attributes)));
		f.if(shown, () => writeGpr(f, st, register, bytes, part(raw)));
		setZero(core, f, st, shown);
		f.return(STATUS.next);
	});
}

/** 1 where CPL and RPL may see a segment: conforming code always. */
function visible(f: FunctionBuilder, st: Ex, selector: Ex, attributes: Ex): Ex {
	const dpl = f.let(dplOf(attributes));
	return isConforming(attributes).or(F.cpl.of(st).leU(dpl).and(selector.and(RPL).leU(dpl)));
}

function setZero(core: Core, f: FunctionBuilder, st: Ex, zero: Ex): void {
	const flags = call(core.fn("readFlags"), st).and(~EFLAGS.zf);
	f.call(core.fn("writeFlags"), st, flags.or(zero.mul(EFLAGS.zf)));
}
