import type { Pflash } from "./pflash.ts";
import { type BankParts, FlashBank } from "./pflash-bank.ts";
import { PflashCfi01 } from "./pflash-cfi01.ts";
import { Cfi01Chip } from "./pflash-cfi01-chip.ts";
import { PflashCfi02 } from "./pflash-cfi02.ts";
import { Cfi02Chip } from "./pflash-cfi02-chip.ts";

export interface FlashKind extends BankParts {
	readonly commandSet: "intel" | "amd";
	/** The chips' own rules, instead of QEMU's, for which `timing` and `locked` say nothing. */
	readonly strict: boolean;
}

/** A flash of the kind that was asked for. */
export function createPflash(parts: FlashKind): Pflash {
	if (parts.commandSet === "intel") {
		return parts.strict ? new FlashBank(parts, (chip) => new Cfi01Chip(chip)) : new PflashCfi01(parts);
	}
	return parts.strict ? new FlashBank(parts, (chip) => new Cfi02Chip(chip)) : new PflashCfi02(parts);
}
