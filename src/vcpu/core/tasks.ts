import { SEGMENT, VECTOR } from "../../isa/registers.ts";
import { type Arg, type Ex, i32, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ACCESS, ATTR, F, GPRS, PENDING, SEG, STATUS, segmentOffset } from "../layout.ts";
import { CR0, DR6, EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import {
	attributesOf,
	baseOf,
	isNull,
	limitOf,
	put,
	RPL,
	raise,
	SYSTEM_TYPE,
	selectorCode,
	systemType,
	TI,
} from "./descriptors.ts";
import { csLimit } from "./far.ts";
import { segmentAddress } from "./mode.ts";

/** Who asks for a task switch: it decides about NT, the back link and the busy bits (SDM 3A table 7-2). */
export const TASK_SOURCE = { jump: 0, call: 1, return: 2 } as const;

/** Status of a task switch that raised its exception behind the commit point: it belongs to the new task. */
export const NEW_TASK_FAULT = 4;

/** DR7: L0–L3 and LE, which a task switch clears (SDM 3A 7.3, 3B 17.2.4). */
const DR7_LOCAL = 0x155;
/** EFLAGS bits that exist. */
const EFLAGS_ALL = 0x3f7fd5;

/** Offsets in a TSS (SDM 3A figures 7-2 and 7-10); `selectors` in the order of segment numbers, `stride` between them. */
interface TssShape {
	readonly bytes: 2 | 4;
	readonly ip: number;
	readonly flags: number;
	readonly registers: number;
	readonly selectors: number;
	readonly count: number;
	readonly ldt: number;
	/** Smallest limit to switch to, and to save into. */
	readonly limit: number;
	readonly saved: number;
}
const TSS32: TssShape = {
	bytes: 4,
	ip: 0x20,
	flags: 0x24,
	registers: 0x28,
	selectors: 0x48,
	count: 6,
	ldt: 0x60,
	limit: 0x67,
	saved: 0x5f,
};
const TSS16: TssShape = {
	bytes: 2,
	ip: 0x0e,
	flags: 0x10,
	registers: 0x12,
	selectors: 0x22,
	count: 4,
	ldt: 0x2a,
	limit: 0x2b,
	saved: 0x29,
};
const TSS32_CR3 = 0x1c;
const TSS32_TRAP = 0x64;

/** Segment registers in the order in which a task switch loads them: CS decides CPL, then SS, then data. */
const LOAD_ORDER = [SEGMENT.cs, SEGMENT.ss, SEGMENT.ds, SEGMENT.es, SEGMENT.fs, SEGMENT.gs];

/** The hardware task switch (SDM 3A 7.3). */
export function defineTasks(core: Core): void {
	defineFindTask(core);
	defineSave(core);
	defineSwitch(core);

	/**
	 * `transferTask(state, record, selector, raw, source, ip)` → branch or stopHere: JMP, CALL and IRET to a checked
	 * task. A fault behind the commit point is pending together with `branch`: RIP is the new task's.
	 */
	core.define("transferTask", ["i32", "i32", "i32", "i64", "i32", "i64"], ["i32"], (f) => {
		const [st, rec, selector, raw, source, ip] = [
			f.param(0),
			f.param(1),
			f.param(2),
			f.param(3),
			f.param(4),
			f.param(5),
		];
		const status = f.let(call(core.fn("taskSwitch"), st, rec, selector, raw, source, ip, 0, 0));
		f.returnIf(status.eq(STATUS.stopHere), status);
		f.if(status.eqz().and(F.rip.of(st).gtU(csLimit(st))), () => f.drop(raise(core, st, VECTOR.GP, 0)));
		f.return(STATUS.branch);
	});
}

function defineFindTask(core: Core): void {
	/**
	 * `findTask(state, record, selector, vector, ext, busy)` → status; the descriptor of a TSS that is present and
	 * available (`busy` 0) or busy (SYSTEM_TYPE.busy) in F.data. `vector` reports all else but #NP.
	 */
	core.define("findTask", ["i32", "i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector] = [f.param(0), f.param(1), f.param(2)];
		const [vector, ext, busy] = [f.param(3), f.param(4), f.param(5)];
		const code = selectorCode(selector, ext);
		f.check(call(core.fn("readGlobal"), st, rec, selector, vector, ext));
		const attributes = f.let(attributesOf(core, F.data.of(st)));
		f.returnIf(
			isNull(selector).or(systemType(attributes).and(~SYSTEM_TYPE.size32).ne(busy.or(SYSTEM_TYPE.tss16))),
			raise(core, st, vector, code),
		);
		f.returnIf(attributes.and(ATTR.present).eqz(), raise(core, st, VECTOR.NP, code));
		f.return(0);
	});
}

function linear(st: Ex, base: Ex, offset: number): Ex {
	return base.add(BigInt(offset)).and(F.linearMask.of(st));
}

/** `saveTask(state, record, ip, flags)` → 0 or stopHere: writes the registers into the TSS in force; all was probed. */
function defineSave(core: Core): void {
	core.define("saveTask", ["i32", "i32", "i64", "i32"], ["i32"], (f) => {
		const [st, rec, ip, flags] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const tss = f.let(segmentAddress(st, SEGMENT.tr));
		const base = f.let(SEG.base.of(tss));
		const save = (shape: TssShape): void => {
			const store = (offset: number, bytes: number, value: Ex): void =>
				f.check(put(core, st, rec, linear(st, base, offset), bytes, ACCESS.system, value));
			store(shape.ip, shape.bytes, ip);
			store(shape.flags, shape.bytes, flags.extU());
			for (let n = 0; n < 8; n++) {
				store(shape.registers + n * shape.bytes, shape.bytes, st.load("i64", GPRS + n * 8));
			}
			for (let n = 0; n < shape.count; n++) {
				store(shape.selectors + n * shape.bytes, 2, SEG.selector.of(st, segmentOffset(n)).extU());
			}
		};
		f.if(
			SEG.attributes.of(tss).and(SYSTEM_TYPE.size32).ne(0),
			() => save(TSS32),
			() => save(TSS16),
		);
		f.return(0);
	});
}

/** The new task's image, read from its TSS. */
interface Image {
	readonly cr3: Local;
	readonly ip: Local;
	readonly flags: Local;
	readonly registers: readonly Local[];
	/** By segment number; FS and GS are null in a 16-bit TSS. */
	readonly selectors: readonly Local[];
	readonly ldt: Local;
	readonly trap: Local;
}

function readImage(core: Core, f: FunctionBuilder, st: Ex, rec: Ex, base: Ex, big: Ex): Image {
	const image: Image = {
		cr3: f.local("i64", F.cr3.of(st)),
		ip: f.local("i64"),
		flags: f.local("i32"),
		registers: Array.from({ length: 8 }, () => f.local("i64")),
		selectors: Array.from({ length: 6 }, () => f.local("i32", 0)),
		ldt: f.local("i32"),
		trap: f.local("i32", 0),
	};
	const read = (offset: number, bytes: number): Ex => {
		f.check(call(core.fn("load"), st, rec, linear(st, base, offset), bytes, ACCESS.system));
		return F.data.of(st);
	};
	const readShape = (shape: TssShape): void => {
		f.set(image.ip, read(shape.ip, shape.bytes));
		f.set(image.flags, read(shape.flags, shape.bytes).wrap());
		image.registers.forEach((register, n) => {
			const value = read(shape.registers + n * shape.bytes, shape.bytes);
			// A 16-bit TSS does not hold the upper halves: they become ones, as on the 80386 (test386 looks).
			f.set(register, shape.bytes === 2 ? value.or(0xffff0000n) : value);
		});
		for (const [n, selector] of image.selectors.entries()) {
			if (n < shape.count) f.set(selector, read(shape.selectors + n * shape.bytes, 2).wrap());
		}
		f.set(image.ldt, read(shape.ldt, 2).wrap());
	};
	f.if(
		big,
		() => {
			f.if(F.cr0.of(st).wrap().and(CR0.pg).ne(0), () => f.set(image.cr3, read(TSS32_CR3, 4)));
			readShape(TSS32);
			f.set(image.trap, read(TSS32_TRAP, 2).wrap().and(1));
		},
		() => readShape(TSS16),
	);
	return image;
}

/** The descriptors that the new task's selectors name, read ahead; 0 where there is none. */
interface Descriptors {
	readonly ldt: Local;
	/** By segment number. */
	readonly segments: readonly Local[];
	/** A fault met on the way, to be raised when its turn comes; `turn` counts: 0 CR3, 1 LDT, then {@link LOAD_ORDER}. */
	readonly turn: Local;
	readonly vector: Local;
	readonly code: Local;
	readonly address: Local;
}

function invalidLdt(core: Core, raw: Ex): Ex {
	return attributesOf(core, raw)
		.and(ATTR.s | ATTR.typeMask | ATTR.present)
		.ne(SYSTEM_TYPE.ldt | ATTR.present);
}

/**
 * Reads the descriptors through the new task's page tables and then goes back to the old ones. Behind the commit
 * point nothing can be left for an answer from user space any more, so everything is read before it.
 */
function readAhead(core: Core, f: FunctionBuilder, st: Ex, rec: Ex, image: Image): Descriptors {
	const ahead: Descriptors = {
		ldt: f.local("i64", 0),
		segments: Array.from({ length: 6 }, () => f.local("i64", 0)),
		turn: f.local("i32", -1),
		vector: f.local("i32", 0),
		code: f.local("i32", 0),
		address: f.local("i64", 0),
	};
	const status = f.local("i32", 0);
	const oldCr3 = f.let(F.cr3.of(st));
	const oldPdptes = [0, 8, 16, 24].map((at) => f.let(F.pdpte.of(st, at)));
	const moved = f.let(oldCr3.ne(image.cr3));
	const goBack = (): void =>
		f.if(moved, () => {
			F.cr3.set(f, st, oldCr3);
			oldPdptes.forEach((entry, n) => {
				F.pdpte.set(f, st, entry, n * 8);
			});
			f.call(core.fn("flushTlb"), st, 1);
		});
	f.block((end) => {
		/** Keeps a fault of turn `turn` for later, or leaves for an answer. */
		const attempt = (turn: number, result: Ex): void => {
			f.if(status.tee(result), () => {
				f.if(F.faultPending.of(st).eqz(), () => {
					goBack();
					f.return(status);
				});
				F.faultPending.set(f, st, 0);
				f.set(ahead.turn, turn);
				f.set(ahead.vector, F.faultVector.of(st));
				f.set(ahead.code, F.faultCode.of(st));
				f.set(ahead.address, F.faultAddress.of(st));
				f.br(end);
			});
		};
		f.if(moved, () => attempt(0, call(core.fn("loadCr3"), st, image.cr3)));
		const [address, base, limit] = [f.local("i64"), f.local("i64"), f.local("i64")];
		const load = (turn: number, selector: Ex, into: Local): void => {
			f.set(address, selector.and(0xfff8).extU());
			f.if(address.or(7n).leU(limit), () => {
				f.set(address, base.add(address).and(F.linearMask.of(st)));
				attempt(turn, call(core.fn("load"), st, rec, address, 8, ACCESS.system));
				f.set(into, F.data.of(st));
			});
		};
		f.if(isNull(image.ldt).or(image.ldt.and(TI)).eqz(), () => {
			f.set(base, F.gdtBase.of(st));
			f.set(limit, F.gdtLimit.of(st));
			load(1, image.ldt, ahead.ldt);
			f.if(invalidLdt(core, ahead.ldt), () => {
				f.set(ahead.ldt, 0);
				f.br(end);
			});
		});
		f.brIf(end, image.flags.and(EFLAGS.vm).ne(0));
		LOAD_ORDER.forEach((number, n) => {
			const selector = image.selectors[number] as Local;
			f.if(isNull(selector).eqz(), () => {
				const local = selector.and(TI).ne(0);
				f.block((skip) => {
					// A local table that is not there holds nothing; its own fault comes first.
					f.brIf(skip, local.and(ahead.ldt.eqz()));
					f.set(base, baseOf(core, ahead.ldt).when(local, F.gdtBase.of(st)));
					f.set(limit, limitOf(core, ahead.ldt).when(local, F.gdtLimit.of(st)));
					load(2 + n, selector, ahead.segments[number] as Local);
				});
			});
		});
	});
	goBack();
	return ahead;
}

/**
 * `taskSwitch(state, record, selector, raw, source, ip, flagBits, ext)` → 0, stopHere with nothing changed, or
 * {@link NEW_TASK_FAULT}. The TSS descriptor `raw` is present and of the right kind. `ip` and EFLAGS with `flagBits` are
 * saved for the old task. That EIP lies within CS is the caller's to check.
 */
function defineSwitch(core: Core): void {
	core.define("taskSwitch", ["i32", "i32", "i32", "i64", "i32", "i64", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, selector, raw] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const [source, ip, flagBits, ext] = [f.param(4), f.param(5), f.param(6), f.param(7)];
		const nested = source.eq(TASK_SOURCE.call);
		const attributes = f.let(attributesOf(core, raw));
		const big = f.let(attributes.and(SYSTEM_TYPE.size32));
		const base = f.let(baseOf(core, raw));
		const minimum = (of: Ex, key: "limit" | "saved"): Ex => i32(TSS32[key]).when(of, TSS16[key]).extU();
		f.returnIf(limitOf(core, raw).ltU(minimum(big, "limit")), raise(core, st, VECTOR.TS, selectorCode(selector, ext)));
		const old = f.let(segmentAddress(st, SEGMENT.tr));
		const oldSelector = f.let(SEG.selector.of(old));
		const oldBig = f.let(SEG.attributes.of(old).and(SYSTEM_TYPE.size32));
		f.returnIf(
			SEG.limit.of(old).ltU(minimum(oldBig, "saved")),
			raise(core, st, VECTOR.TS, selectorCode(oldSelector, ext)),
		);
		const image = readImage(core, f, st, rec, base, big);
		const ahead = readAhead(core, f, st, rec, image);
		probeAll(core, f, st, { selector, source, base, nested, old, oldSelector, oldBig });

		const flags = f.let(call(core.fn("readFlags"), st).or(flagBits));
		f.if(source.eq(TASK_SOURCE.return), () => f.set(flags, flags.and(~EFLAGS.nt)));
		f.check(call(core.fn("saveTask"), st, rec, ip, flags));
		f.if(nested, () => f.check(put(core, st, rec, linear(st, base, 0), 2, ACCESS.system, oldSelector.extU())));
		f.if(nested.eqz().and(isNull(oldSelector).eqz()), () => {
			const free = SEG.attributes.of(old).and(~SYSTEM_TYPE.busy);
			f.check(call(core.fn("writeType"), st, rec, oldSelector, free));
		});
		f.set(attributes, attributes.or(SYSTEM_TYPE.busy));
		f.if(source.ne(TASK_SOURCE.return), () => f.check(call(core.fn("writeType"), st, rec, selector, attributes)));

		commit(core, f, st, { selector, raw, nested, image });
		loadSegments(core, f, st, rec, ext, image, ahead);
		f.if(image.trap, () => {
			F.faultDr6.set(f, st, F.faultDr6.of(st).or(DR6.bt));
			F.pending.set(f, st, F.pending.of(st).or(PENDING.debug));
		});
		f.call(core.fn("updateMode"), st);
		f.return(0);
	});
}

interface Writes {
	readonly selector: Ex;
	readonly source: Ex;
	readonly base: Ex;
	readonly nested: Ex;
	readonly old: Ex;
	readonly oldSelector: Ex;
	readonly oldBig: Ex;
}

/** Faults on everything that the switch will write come before the first store. */
function probeAll(core: Core, f: FunctionBuilder, st: Ex, writes: Writes): void {
	const { selector, source, base, nested, old, oldSelector, oldBig } = writes;
	const access = ACCESS.write | ACCESS.system;
	const probe = (address: Ex, bytes: Arg): void => f.check(call(core.fn("probe"), st, address, bytes, access));
	const oldBase = f.let(SEG.base.of(old));
	f.if(
		oldBig,
		() => probe(linear(st, oldBase, TSS32.ip), TSS32.saved + 1 - TSS32.ip),
		() => probe(linear(st, oldBase, TSS16.ip), TSS16.saved + 1 - TSS16.ip),
	);
	f.if(
		nested,
		() => probe(linear(st, base, 0), 2),
		() =>
			f.if(isNull(oldSelector).eqz(), () => {
				const address = f.let(call(core.fn("descriptorAddress"), st, oldSelector));
				f.if(address.ne(-1), () => probe(linear(st, address, 5), 1));
			}),
	);
	f.if(source.ne(TASK_SOURCE.return), () => {
		probe(linear(st, call(core.fn("descriptorAddress"), st, selector), 5), 1);
	});
}

interface Commit {
	readonly selector: Ex;
	readonly raw: Ex;
	readonly nested: Ex;
	readonly image: Image;
}

/** Takes over the task register and everything of the image that needs no descriptor. */
function commit(core: Core, f: FunctionBuilder, st: Ex, { selector, raw, nested, image }: Commit): void {
	const busy = raw.or(BigInt(SYSTEM_TYPE.busy) << 40n);
	f.call(core.fn("installSegment"), st, SEGMENT.tr, selector, busy);
	F.cr0.set(f, st, F.cr0.of(st).or(BigInt(CR0.ts)));
	const dr7 = F.dr.of(st, 56);
	F.dr.set(f, st, dr7.and(BigInt(~DR7_LOCAL)), 56);
	f.call(core.fn("writeFlags"), st, image.flags.and(EFLAGS_ALL).or(nested.mul(EFLAGS.nt)));
	image.registers.forEach((register, n) => {
		f.store("i64", st, register, GPRS + n * 8);
	});
	F.rip.set(f, st, image.ip);
	// Until SS is loaded an exception must find its stack in the TSS: as from level 3.
	F.cpl.set(f, st, 3);
	image.selectors.forEach((value, n) => {
		f.call(core.fn("clearSegment"), st, n, value);
	});
	f.call(core.fn("clearSegment"), st, SEGMENT.ldtr, image.ldt);
}

/** Loads CR3, LDTR and the segment registers; exceptions are the new task's (SDM 3A table 7-1). */
function loadSegments(
	core: Core,
	f: FunctionBuilder,
	st: Ex,
	rec: Ex,
	ext: Ex,
	image: Image,
	ahead: Descriptors,
): void {
	const leave = (): void => {
		f.call(core.fn("updateMode"), st);
		f.return(NEW_TASK_FAULT);
	};
	const check = (status: Ex): void => f.if(status, leave);
	const fault = (vector: number, code: Arg): void => {
		f.drop(raise(core, st, vector, code));
		leave();
	};
	const turn = (n: number): void =>
		f.if(ahead.turn.eq(n), () => {
			F.faultAddress.set(f, st, ahead.address);
			f.drop(raise(core, st, ahead.vector, ahead.code));
			leave();
		});

	turn(0);
	f.if(F.cr3.of(st).ne(image.cr3), () => check(call(core.fn("loadCr3"), st, image.cr3)));
	f.if(isNull(image.ldt).eqz(), () => {
		turn(1);
		f.if(invalidLdt(core, ahead.ldt), () => fault(VECTOR.TS, selectorCode(image.ldt, ext)));
		f.call(core.fn("installSegment"), st, SEGMENT.ldtr, image.ldt, ahead.ldt);
	});
	f.if(
		image.flags.and(EFLAGS.vm).ne(0),
		() =>
			image.selectors.forEach((selector, n) => {
				f.call(core.fn("loadRealSegment"), st, n, selector);
			}),
		() =>
			LOAD_ORDER.forEach((number, n) => {
				const selector = image.selectors[number] as Local;
				const raw = ahead.segments[number] as Local;
				const load = (status: Ex): void => {
					turn(2 + n);
					check(status);
					check(call(core.fn("markAccessed"), st, rec, selector, raw));
					f.call(core.fn("installSegment"), st, number, selector, raw);
				};
				const level = (image.selectors[SEGMENT.cs] as Local).and(RPL);
				if (number === SEGMENT.cs || number === SEGMENT.ss) {
					f.if(isNull(selector), () => fault(VECTOR.TS, ext));
					load(
						number === SEGMENT.cs
							? call(core.fn("checkReturnCode"), st, selector, raw, VECTOR.TS, ext)
							: call(core.fn("checkStack"), st, selector, raw, level, VECTOR.TS, ext),
					);
					if (number === SEGMENT.ss) F.cpl.set(f, st, level);
				} else {
					f.if(isNull(selector).eqz(), () =>
						load(call(core.fn("checkData"), st, selector, raw, level, VECTOR.TS, ext)),
					);
				}
			}),
	);
}
