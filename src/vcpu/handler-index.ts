import type { Instance } from "../isa/table.ts";

/** Handlers that are not instructions, at the front of the table. */
export const SPECIAL_HANDLERS = { none: 0, undefined: 1, tooLong: 2 } as const;
const FIRST_INSTANCE = 8;

/** Table index of an instance's handler. */
export function handlerIndex(instance: Instance): number {
	return FIRST_INSTANCE + instance.id;
}
