import type { TraceCategory, TraceWish } from "../config/index.ts";

/** What is known of an event, by name: numbers as people write them, `0x…` where they are addresses or register values. */
export type TraceFields = Readonly<Record<string, string | number>>;

/** One event that was traced. */
export interface TraceEvent {
	readonly category: TraceCategory;
	/** What happened, in a word or two: `write`, `page fault`. */
	readonly event: string;
	/** Guest instructions retired so far. */
	readonly instructions: number;
	/** Guest time, nanoseconds since power-on. */
	readonly timeNs: number;
	readonly fields: TraceFields;
}

/** Says one event; `first` and `last` are the addresses that ranges of the category are about, where it has any. */
export type TraceLine = (event: string, fields: TraceFields, first?: number | bigint, last?: number | bigint) => void;

/** What a run traces. A category that is off has no way to say anything, so that nothing needs to be asked on the way. */
export type Trace = (category: TraceCategory) => TraceLine | undefined;

/** `stamp`: instructions and guest time so far, which every event has. */
export function traceTo(
	trace: ((event: TraceEvent) => void) | undefined,
	wishes: readonly TraceWish[],
	stamp: () => Pick<TraceEvent, "instructions" | "timeNs">,
): Trace {
	return (category) => {
		const mine = wishes.filter((wish) => wish.category === category);
		if (trace === undefined || mine.length === 0) return undefined;
		const ranges = mine.map(({ range }) => range);
		const isWanted = (first: number | bigint, last: number | bigint): boolean =>
			ranges.some((range) => range === undefined || (first <= range.last && last >= range.first));
		return (event, fields, first = 0, last = first) => {
			if (isWanted(first, last)) trace({ category, event, ...stamp(), fields });
		};
	};
}

/** A number for people: hexadecimal, at least as wide as `bytes`. */
export function hex(value: number | bigint, bytes = 0): string {
	return `0x${value.toString(16).padStart(bytes * 2, "0")}`;
}
