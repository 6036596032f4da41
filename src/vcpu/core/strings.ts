import { RAX, SEGMENT } from "../../isa/registers.ts";
import { type Ex, i32, i64, type Local } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import type { LoadKind } from "../../wasm/opcodes.ts";
import { flagNumber } from "../flag-state.ts";
import { F, STATUS } from "../layout.ts";
import { EFLAGS } from "./control-bits.ts";
import type { Core } from "./core.ts";
import { defineStringLoop, defineStringRoom, gpr, linearOf, type StringLoop, stringStep } from "./string-loop.ts";

/** Element loads by the binary logarithm of the width. */
const LOAD_BY_LOG2: readonly LoadKind[] = ["i64_8u", "i64_16u", "i64_32u", "i64"];

/** First argument of `helper_string`. */
export const STRING_OP = { movs: 0, cmps: 1, stos: 2, lods: 3, scas: 4, ins: 5, outs: 6 } as const;

/** MOVS, STOS, LODS, SCAS and CMPS with their repetitions; INS and OUTS are in string-ports.ts. */
export function defineStrings(core: Core): void {
	defineStringRoom(core);
	defineMovs(core);
	defineStos(core);
	defineLods(core);
	defineScas(core);
	defineCmps(core);
}

/** `helper_string(state, rec, op, width, segment, addressSize, repeat)`: the instruction with its prefixes. */
export function defineStringHelper(core: Core): void {
	core.define("helper_string", ["i32", "i32", "i32", "i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, op, width, segment] = [f.param(0), f.param(1), f.param(2), f.param(3), f.param(4)];
		const [addressSize, repeat] = [f.param(5), f.param(6)];
		const mask = f.let(i64(-1).shrU(i64(64).sub(addressSize.shl(3).extU())));
		f.switch(
			op,
			Object.keys(STRING_OP).map((name) => () => {
				f.return(call(core.fn(`string_${name}`), st, rec, width, segment, mask, repeat));
			}),
		);
		f.return(STATUS.next);
	});
}

/** Puts into `n` how many elements both lie in one page and are wanted. */
function elementsInPage(
	{ core, f, st, width, mask }: StringLoop,
	n: Local,
	segment: Ex | number,
	offset: Ex,
	write: number,
) {
	const here = f.let(call(core.fn("stringRoom"), st, segment, offset, width, mask, write));
	f.if(here.ltU(n), () => f.set(n, here));
	f.release(here);
}

/** A pointer to the element in hand in VM memory, 0 where the TLB does not have it. */
function hostOf({ core, f, st, width }: StringLoop, segment: Ex | number, offset: Ex, write: boolean): Local {
	const table = (write ? F.tlbWrite : F.tlbRead).of(st);
	return f.let(call(core.fn("hit"), st, linearOf(st, segment, offset), width, table));
}

/** Distance from the element in hand down to the lowest one of `n`: 0 when going up. */
function spanBelow({ st, width }: StringLoop, n: Ex): Ex {
	const down = F.eflags.of(st).and(EFLAGS.df).ne(0);
	return n.sub(1).mul(width).mul(down);
}

function defineMovs(core: Core): void {
	defineStringLoop(
		core,
		"string_movs",
		{ source: true, destination: true, cutsIndexes: true },
		({ f, st, rec, segment, width, si, di }, status) => {
			f.set(status, call(core.fn("loadAt"), st, rec, segment, si, width));
			f.if(status.eqz(), () => {
				f.set(status, call(core.fn("storeAt"), st, rec, SEGMENT.es, di, width, F.data.of(st)));
			});
		},
		(loop, room, n) => {
			const { f, st, segment, width, si, di } = loop;
			f.set(n, room);
			elementsInPage(loop, n, segment, si, 0);
			elementsInPage(loop, n, SEGMENT.es, di, 1);
			f.if(n.ne(0), () => {
				const from = hostOf(loop, segment, si, false);
				const to = hostOf(loop, SEGMENT.es, di, true);
				f.if(
					from.eqz().or(to.eqz()),
					() => f.set(n, 0),
					() => {
						const bytes = f.let(n.mul(width));
						const down = F.eflags.of(st).and(EFLAGS.df).ne(0);
						// How far the destination is ahead of the source, in the direction of the copy.
						const ahead = f.let(to.sub(from).when(down.eqz(), from.sub(to)));
						const below = f.let(spanBelow(loop, n));
						f.set(from, from.sub(below));
						f.set(to, to.sub(below));
						f.if(
							ahead.geU(bytes).or(ahead.eqz()),
							() => f.memoryCopy(to, from, bytes),
							() =>
								f.if(
									ahead.ltU(width).or(below.ne(0)),
									// Elements overlap themselves, or a pattern grows downwards: one by one.
									() => f.set(n, 0),
									() => repeatPattern(loop, to, from, ahead, bytes),
								),
						);
					},
				);
			});
		},
	);
}

/** Copies `bytes` upwards where the destination starts `period` bytes into the source: the first `period` bytes repeat. */
function repeatPattern({ f }: StringLoop, to: Local, from: Local, period: Ex, bytes: Ex): void {
	f.memoryCopy(to, from, period);
	growPattern(f, to, period, bytes);
}

/** Repeats the first `period` bytes until there are `bytes`, each time with all that is there already. */
function growPattern(f: FunctionBuilder, to: Local, period: Ex, bytes: Ex): void {
	const filled = f.let(period);
	const part = f.local("i32");
	f.while(filled.ltU(bytes), () => {
		f.set(part, bytes.sub(filled));
		f.if(part.gtU(filled), () => f.set(part, filled));
		f.memoryCopy(to.add(filled), to, part);
		f.set(filled, filled.add(part));
	});
}

function defineStos(core: Core): void {
	defineStringLoop(
		core,
		"string_stos",
		{ source: false, destination: true, cutsIndexes: true },
		({ f, st, rec, width, di }, status) => {
			f.set(status, call(core.fn("storeAt"), st, rec, SEGMENT.es, di, width, gpr(st, RAX)));
		},
		(loop, room, n) => {
			const { f, st, width, di } = loop;
			f.set(n, room);
			elementsInPage(loop, n, SEGMENT.es, di, 1);
			f.if(n.ne(0), () => {
				const to = hostOf(loop, SEGMENT.es, di, true);
				f.if(to.eqz(), () => f.set(n, 0));
				f.if(n.ne(0), () => {
					f.set(to, to.sub(spanBelow(loop, n)));
					const bytes = f.let(n.mul(width));
					const value = f.let(gpr(st, RAX));
					const uniform = value
						.and(0xff)
						.mul(0x0101010101010101n)
						.xor(value)
						.shl(i64(64).sub(width.shl(3).extU()))
						.eqz();
					f.if(
						uniform,
						() => f.memoryFill(to, value.wrap(), bytes),
						() => {
							f.switch(width.shrU(1), [
								undefined,
								() => f.store("i64_16", to, value),
								() => f.store("i64_32", to, value),
								undefined,
								() => f.store("i64", to, value),
							]);
							growPattern(f, to, width, bytes);
						},
					);
				});
			});
		},
	);
}

function defineLods(core: Core): void {
	defineStringLoop(
		core,
		"string_lods",
		{ source: true, destination: false },
		({ f, st, rec, segment, width, si }, status) => {
			f.set(status, call(core.fn("loadAt"), st, rec, segment, si, width));
			f.if(status.eqz(), () => f.call(core.fn("setGpr"), st, RAX, width, F.data.of(st)));
		},
		(loop, room, n) => {
			const { f, st, segment, width, si } = loop;
			f.set(n, room);
			elementsInPage(loop, n, segment, si, 0);
			f.if(n.ne(0), () => {
				const from = hostOf(loop, segment, si, false);
				f.if(from.eqz(), () => f.set(n, 0));
				f.if(n.ne(0), () => {
					// Only the last element stays.
					f.set(from, from.add(n.sub(1).mul(stringStep(st, width).wrap())));
					for (const [log2, kind] of LOAD_BY_LOG2.entries()) {
						f.if(width.eq(1 << log2), () => f.call(core.fn("setGpr"), st, RAX, width, from.load(kind)));
					}
				});
			});
		},
	);
}

/**
 * Flags of comparing `a` with `b`, elements zero-extended, the last of `n` in hand. Only the end of the repetition sets
 * them: where it faults or is interrupted before, they are those from before the instruction (SDM 2B REP).
 */
function setCompareFlags({ f, st, width, left, ended }: StringLoop, a: Ex, b: Ex, n: Ex): void {
	f.if(ended.or(left.eq(n.extU())), () => {
		f.store("i64", st, a, F.flagA.offset);
		f.store("i64", st, b, F.flagB.offset);
		F.flagKind.set(f, st, width.ctz().add(flagNumber("sub", 8)));
	});
}

/** REPE (F3) ends at a difference, REPNE (F2) at equality. */
function endsAt({ f, repeat, ended }: StringLoop, equal: Ex): void {
	f.set(ended, repeat.ne(0).and(equal.ne(repeat.eq(0xf3))));
}

function defineScas(core: Core): void {
	const accumulator = ({ st, width }: StringLoop): Ex =>
		gpr(st, RAX).and(i64(-1).shrU(i64(64).sub(width.shl(3).extU())));
	defineStringLoop(
		core,
		"string_scas",
		{ source: false, destination: true },
		(loop, status) => {
			const { f, st, rec, width, di } = loop;
			f.set(status, call(core.fn("loadAt"), st, rec, SEGMENT.es, di, width));
			f.if(status.eqz(), () => {
				endsAt(loop, F.data.of(st).eq(accumulator(loop)));
				setCompareFlags(loop, accumulator(loop), F.data.of(st), i32(1));
			});
		},
		(loop, room, n) => {
			const { f, st, width, di, ended } = loop;
			f.set(n, room);
			elementsInPage(loop, n, SEGMENT.es, di, 0);
			f.if(n.ne(0), () => {
				const at = hostOf(loop, SEGMENT.es, di, false);
				f.if(at.eqz(), () => f.set(n, 0));
				f.if(n.ne(0), () => {
					const wanted = f.let(accumulator(loop));
					const step = f.let(stringStep(st, width).wrap());
					const last = f.let(n);
					const value = f.local("i64");
					f.set(n, 0);
					for (const [log2, kind] of LOAD_BY_LOG2.entries()) {
						f.if(width.eq(1 << log2), () =>
							f.loop((next) => {
								f.set(value, at.load(kind));
								f.set(at, at.add(step));
								f.set(n, n.add(1));
								endsAt(loop, value.eq(wanted));
								f.brIf(next, ended.eqz().and(n.ltU(last)));
							}),
						);
					}
					setCompareFlags(loop, wanted, value, n);
				});
			});
		},
	);
}

function defineCmps(core: Core): void {
	defineStringLoop(
		core,
		"string_cmps",
		{ source: true, destination: true },
		(loop, status) => {
			const { f, st, rec, segment, width, si, di } = loop;
			f.set(status, call(core.fn("loadAt"), st, rec, segment, si, width));
			f.if(status.eqz(), () => {
				const a = f.let(F.data.of(st));
				f.set(status, call(core.fn("loadAt"), st, rec, SEGMENT.es, di, width));
				f.if(status.eqz(), () => {
					endsAt(loop, F.data.of(st).eq(a));
					setCompareFlags(loop, a, F.data.of(st), i32(1));
				});
				f.release(a);
			});
		},
		(loop, room, n) => {
			const { f, st, segment, width, si, di, ended } = loop;
			f.set(n, room);
			elementsInPage(loop, n, segment, si, 0);
			elementsInPage(loop, n, SEGMENT.es, di, 0);
			f.if(n.ne(0), () => {
				const first = hostOf(loop, segment, si, false);
				const second = hostOf(loop, SEGMENT.es, di, false);
				f.if(first.eqz().or(second.eqz()), () => f.set(n, 0));
				f.if(n.ne(0), () => {
					const step = f.let(stringStep(st, width).wrap());
					const last = f.let(n);
					const [a, b] = [f.local("i64"), f.local("i64")];
					f.set(n, 0);
					for (const [log2, kind] of LOAD_BY_LOG2.entries()) {
						f.if(width.eq(1 << log2), () =>
							f.loop((next) => {
								f.set(a, first.load(kind));
								f.set(b, second.load(kind));
								f.set(first, first.add(step));
								f.set(second, second.add(step));
								f.set(n, n.add(1));
								endsAt(loop, a.eq(b));
								f.brIf(next, ended.eqz().and(n.ltU(last)));
							}),
						);
					}
					setCompareFlags(loop, a, b, n);
				});
			});
		},
	);
}
