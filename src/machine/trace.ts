import type { TraceCategory } from "../config/index.ts";
import type { MachineHost } from "./outcome.ts";

/** Says one event. */
export type TraceLine = (line: string) => void;

/** What a run traces. A category that is off has no way to say anything, so that nothing needs to be asked on the way. */
export type Trace = (category: TraceCategory) => TraceLine | undefined;

/** `stamp`: the number of instructions so far, with which every line begins. */
export function traceTo(
	{ trace }: Pick<MachineHost, "trace">,
	categories: readonly TraceCategory[],
	stamp: () => number,
): Trace {
	return (category) => {
		if (trace === undefined || !categories.includes(category)) return undefined;
		return (line) => trace(category, `${stamp()} ${line}`);
	};
}

/** A number for people: hexadecimal, at least as wide as `bytes`. */
export function hex(value: number, bytes = 0): string {
	return `0x${value.toString(16).padStart(bytes * 2, "0")}`;
}
