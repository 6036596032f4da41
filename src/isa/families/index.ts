import type { Family } from "../family.ts";
import * as arithmetic from "./arithmetic.ts";
import * as control from "./control.ts";
import * as move from "./move.ts";
import * as stack from "./stack.ts";

/** Every instruction family, in a fixed order: instance numbers follow from it. */
export const FAMILIES: readonly Family[] = [arithmetic, control, move, stack].flatMap((file) =>
	Object.values(file).flatMap((entry) => entry as Family | Family[]),
);
