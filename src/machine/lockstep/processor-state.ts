import { GPR, SEGMENT } from "../../isa/registers.ts";
import { F, type Field, GPRS, PENDING, SEG_SIZE, segmentOffset } from "../../vcpu/layout.ts";
import type { Processor } from "../../vcpu/processor.ts";
import { hex } from "../trace.ts";

/** Fields in which engines differ as they please: scratch space, caches, counters, and what means nothing between two instructions. */
const PRIVATE: ReadonlySet<string> = new Set<keyof typeof F>([
	...(["zero", "flagA", "flagB", "flagKind", "eflags", "generation", "budget", "deadline"] as const),
	...(["blockIp", "blockFirst", "blockCount", "pending", "skipUnit", "trapOff", "deliveringBefore"] as const),
	...(["faultVector", "faultCode", "faultAddress", "walkGpa", "walkFlags", "txCount", "tx", "ioCount", "io"] as const),
	...(["data", "reads", "readRecord", "readRetired", "writes", "exitReason", "exitAddress", "exitLength"] as const),
	...(["exitIsWrite", "exitData", "ioDirection", "ioSize", "ioPort", "ioTotal", "errorSub", "exitIp"] as const),
	...([
		"exitLinear",
		"exitCs",
		"exitMode",
		"exitTarget",
		"exitPart",
		"storeAccess",
		"repOwed",
		"walkRecord",
		"walkLost",
		"lostGpa",
		"lostEntry",
		"lostBytes",
		"lastSlot",
		"scratch",
		"tlbListCount",
		"portData",
		"portBuffer",
		"frameTop",
		"walkCache",
		"largePages",
		"words",
	] as const),
	...(["fpuB", "fpuResult", "fpuRaised", "fpuUp", "area", "wide"] as const),
	...(["interpreted", "fills", "codeStores"] as const),
	// One of the machines may be debugged.
	...(["guestDebug", "breakControl", "stepped", "stops", "stopCount", "watches", "watchCount"] as const),
	...(["hitKind", "hitAddress"] as const),
]);

/** Bits of F.pending that say when somebody looks, not what there is. */
const PENDING_PRIVATE = PENDING.code | PENDING.interrupt;

interface Piece {
	readonly name: string;
	/** Offset in the state, and length, in 32-bit words. */
	readonly at: number;
	readonly words: number;
}

/** Everything of a processor's state that a guest could tell, by name; fields that are added later take part by themselves. */
const PIECES: readonly Piece[] = [
	...GPR.map((name, n) => ({ name, at: GPRS / 4 + n * 2, words: 2 })),
	...Object.entries(SEGMENT).map(([name, n]) => ({ name, at: segmentOffset(n) / 4, words: SEG_SIZE / 4 })),
	...fieldPieces(),
];

function fieldPieces(): Piece[] {
	const fields = (Object.entries(F) as [string, Field][]).sort(([, a], [, b]) => a.offset - b.offset);
	return fields.flatMap(([name, { offset, bytes }], n) => {
		// A field is as long as the way to the next one.
		const end = fields[n + 1]?.[1].offset ?? offset + bytes;
		return PRIVATE.has(name) ? [] : [{ name, at: offset / 4, words: (end - offset) >> 2 }];
	});
}

/** One difference between two processors. */
export interface Difference {
	readonly name: string;
	readonly first: string;
	readonly second: string;
}

/** Compares two processors between instructions, quickly. */
export class StateComparison {
	private readonly first: Processor;
	private readonly second: Processor;
	private readonly a: Int32Array;
	private readonly b: Int32Array;

	constructor(first: Processor, second: Processor) {
		this.first = first;
		this.second = second;
		[this.a, this.b] = [first, second].map(words) as [Int32Array, Int32Array];
	}

	/** Whether a guest could not tell one from the other. */
	equal(): boolean {
		const { a, b, first, second } = this;
		for (const { at, words } of PIECES) {
			for (let n = at; n < at + words; n++) if (a[n] !== b[n]) return false;
		}
		return (
			first.retired() === second.retired() &&
			first.call("readFlags") === second.call("readFlags") &&
			((first.get(F.pending) ^ second.get(F.pending)) & ~PENDING_PRIVATE) === 0
		);
	}

	/** What differs. */
	differences(): Difference[] {
		const { a, b, first, second } = this;
		const found: Difference[] = PIECES.flatMap(({ name, at, words }) =>
			Array.from({ length: words }, (_, n) => n)
				.filter((n) => a[at + n] !== b[at + n])
				.map((n) => ({
					name: words > 2 ? `${name}+${n * 4}` : n === 0 ? name : `${name} (upper half)`,
					first: hex(a[at + n]! >>> 0, 4),
					second: hex(b[at + n]! >>> 0, 4),
				})),
		);
		const more = (name: string, of: (processor: Processor) => number): void => {
			if (of(first) !== of(second)) found.push({ name, first: hex(of(first)), second: hex(of(second)) });
		};
		more("eflags", (processor) => processor.call("readFlags") >>> 0);
		more("pending", (processor) => processor.get(F.pending) & ~PENDING_PRIVATE);
		if (first.retired() !== second.retired())
			found.push({ name: "instructions", first: String(first.retired()), second: String(second.retired()) });
		return found;
	}
}

function words({ memory, state }: Processor): Int32Array {
	const end = Math.max(...PIECES.map(({ at, words: count }) => at + count));
	return new Int32Array(memory.memory.buffer, state, end);
}
