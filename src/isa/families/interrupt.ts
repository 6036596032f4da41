import type { Flag } from "../expr.ts";
import { family } from "../family.ts";

const ALL: readonly Flag[] = ["cf", "pf", "af", "zf", "sf", "of"];

/** Second argument of the helper `softInterrupt`: rights and what is checked differ (SDM 2A INT n/INTO/INT3/INT1). */
const KIND = { int: 0, int3: 1, into: 2, int1: 3 } as const;

export const INT = family("INT", "Call to interrupt procedure", {
	forms: [["CD ib", "Ib"]],
	helperFlags: { reads: ALL },
	ends: true,
	meaning: (x) => x.helper("softInterrupt", x.immediate(0, 32), KIND.int),
});

export const INT3 = family("INT3", "Breakpoint", {
	forms: [["CC", ""]],
	helperFlags: { reads: ALL },
	ends: true,
	meaning: (x) => x.helper("softInterrupt", 3, KIND.int3),
});

/** The helper looks at OF. */
export const INTO = family("INTO", "Interrupt 4 on overflow", {
	forms: [["CE", "", { mode: "i64" }]],
	helperFlags: { reads: ALL },
	ends: true,
	meaning: (x) => x.helper("softInterrupt", 4, KIND.into),
});

export const INT1 = family("INT1", "Debug trap", {
	forms: [["F1", ""]],
	aliases: ["ICEBP"],
	helperFlags: { reads: ALL },
	ends: true,
	meaning: (x) => x.helper("softInterrupt", 1, KIND.int1),
});

/** Rights in virtual-8086 mode depend on IOPL and VME: the helper's. */
export const IRET = family("IRET", "Return from interrupt", {
	forms: [["CF", "", { sized: true }]],
	aliases: ["IRETD", "IRETQ"],
	helperFlags: { writes: ALL },
	ends: true,
	meaning: (x) => x.helper("iret", x.size / 8),
});

export const BOUND = family("BOUND", "Check array index against bounds", {
	forms: [["62 /r", "Gv, Ma", { mode: "i64" }]],
	meaning: (x) => {
		const index = x.read(0);
		const address = x.effectiveAddress();
		const lower = x.loadMemory("operand", address, x.size);
		const below = index.ltS(lower);
		// An index below the lower bound faults before the upper one is looked at: then the lower is read again instead.
		const upperAddress = below.select(address, x.wrapAddress(address.add(x.size / 8)));
		const upper = x.loadMemory("operand", upperAddress, x.size);
		x.fault("BR", below.or(upper.ltS(index)));
	},
});
