import type { Family } from "../family.ts";
import * as arithmetic from "./arithmetic.ts";
import * as bit from "./bit.ts";
import * as bmi from "./bmi.ts";
import * as checksum from "./checksum.ts";
import * as control from "./control.ts";
import * as decimal from "./decimal.ts";
import * as descriptor from "./descriptor.ts";
import * as exchange from "./exchange.ts";
import * as extend from "./extend.ts";
import * as far from "./far.ts";
import * as fastCall from "./fast-call.ts";
import * as flag from "./flag.ts";
import * as fma from "./fma.ts";
import * as interrupt from "./interrupt.ts";
import * as move from "./move.ts";
import * as multiply from "./multiply.ts";
import * as nop from "./nop.ts";
import * as packedInteger from "./packed-integer.ts";
import * as packedLogic from "./packed-logic.ts";
import * as packedShift from "./packed-shift.ts";
import * as packedShuffle from "./packed-shuffle.ts";
import * as pageRights from "./page-rights.ts";
import * as port from "./port.ts";
import * as random from "./random.ts";
import * as rotate from "./rotate.ts";
import * as segment from "./segment.ts";
import * as segmentBase from "./segment-base.ts";
import * as shift from "./shift.ts";
import * as sseFloatArithmetic from "./sse-float-arithmetic.ts";
import * as sseFloatCompare from "./sse-float-compare.ts";
import * as sseFloatConvert from "./sse-float-convert.ts";
import * as stack from "./stack.ts";
import * as string from "./string.ts";
import * as system from "./system.ts";
import * as vectorControl from "./vector-control.ts";
import * as vectorCrypto from "./vector-crypto.ts";
import * as vectorMemory from "./vector-memory.ts";
import * as vectorMove from "./vector-move.ts";
import * as vectorPermute from "./vector-permute.ts";
import * as vectorString from "./vector-string.ts";
import * as x87Arithmetic from "./x87-arithmetic.ts";
import * as x87Compare from "./x87-compare.ts";
import * as x87Control from "./x87-control.ts";
import * as x87Function from "./x87-function.ts";
import * as x87Move from "./x87-move.ts";
import * as x87State from "./x87-state.ts";
import * as xsave from "./xsave.ts";

/** A file whose every export is an instruction, or several. */
type FamilyFile = () => Readonly<Record<string, Family | readonly Family[]>>;

// The bundle loads each file when somebody asks for it: tools/bundle.mjs reads these lines and the imports.
const FILES: readonly FamilyFile[] = [
	() => arithmetic,
	() => bit,
	() => bmi,
	() => checksum,
	() => control,
	() => decimal,
	() => descriptor,
	() => exchange,
	() => extend,
	() => far,
	() => fastCall,
	() => flag,
	() => interrupt,
	() => move,
	() => multiply,
	() => nop,
	() => packedInteger,
	() => packedLogic,
	() => packedShift,
	() => packedShuffle,
	() => pageRights,
	() => port,
	() => random,
	() => rotate,
	() => segment,
	() => segmentBase,
	() => shift,
	() => stack,
	() => string,
	() => system,
	() => x87Arithmetic,
	() => x87Compare,
	() => x87Control,
	() => x87Function,
	() => x87Move,
	() => sseFloatArithmetic,
	() => sseFloatCompare,
	() => sseFloatConvert,
	() => fma,
	() => x87State,
	() => xsave,
	() => vectorControl,
	() => vectorCrypto,
	() => vectorMemory,
	() => vectorMove,
	() => vectorPermute,
	() => vectorString,
];

/** The instruction families of each file, in a fixed order: instance numbers follow from it. */
export const FAMILY_FILES: readonly (() => readonly Family[])[] = FILES.map((file) => () => {
	const declared = file();
	return Object.keys(declared)
		.sort()
		.flatMap((name) => declared[name] ?? []);
});
