import { family } from "../family.ts";
import { x87, x87NoWait } from "./x87.ts";

/** #NM only with both CR0.MP and CR0.TS; then the exceptions that wait, like any waiting instruction. */
export const FWAIT = family("FWAIT", "Wait for x87 exceptions", {
	forms: [["9B", ""]],
	aliases: ["WAIT"],
	meaning: (x) => x.helper("fpuWaitHere"),
});

export const FNINIT = x87NoWait("FNINIT", "Initialize", {
	forms: [["DB E3", ""]],
	meaning: (x) => x.helper("fpuInitialize"),
});

export const FNCLEX = x87NoWait("FNCLEX", "Clear exceptions", {
	forms: [["DB E2", ""]],
	meaning: (x) => x.helper("fpuClearExceptions"),
});

/** What the 8087 and the 80287 had; no operation since the 80387 (SDM 3B 23.18). */
export const OLD = [
	["FNENI", "Enable interrupts", "DB E0"],
	["FNDISI", "Disable interrupts", "DB E1"],
	["FNSETPM", "Set protected mode", "DB E4"],
].map(([name, title, code]) =>
	x87NoWait(`${name}`, `${title}`, { forms: [[`${code}`, ""]], meaning: (x) => x.helper("fpuNothing") }),
);

export const FLDCW = x87("FLDCW", "Load control word", {
	forms: [["D9 /5", "Mw"]],
	meaning: (x) => x.helper("fpuLoadControl", x.read(0).zext(32)),
});

export const FNSTCW = x87NoWait("FNSTCW", "Store control word", {
	forms: [["D9 /7", "Mw"]],
	meaning: (x) => x.helper("fpuStoreControl", x.effectiveAddress()),
});

export const FNSTSW = x87NoWait("FNSTSW", "Store status word", {
	forms: [["DD /7", "Mw"]],
	meaning: (x) => x.helper("fpuStoreStatus", x.effectiveAddress()),
});

export const FNSTSW_AX = x87NoWait("FNSTSW", "Store status word", {
	forms: [["DF E0", "AX"]],
	meaning: (x) => x.helper("fpuStatusToAx"),
});

export const FLDENV = x87("FLDENV", "Load environment", {
	forms: [["D9 /4", "M", { sized: true }]],
	meaning: (x) => x.helper("fpuLoadEnvironment", x.effectiveAddress(), x.size / 8, 0),
});

export const FRSTOR = x87("FRSTOR", "Restore state", {
	forms: [["DD /4", "M", { sized: true }]],
	meaning: (x) => x.helper("fpuLoadEnvironment", x.effectiveAddress(), x.size / 8, 1),
});

export const FNSTENV = x87NoWait("FNSTENV", "Store environment", {
	forms: [["D9 /6", "M", { sized: true }]],
	meaning: (x) => x.helper("fpuStoreEnvironment", x.effectiveAddress(), x.size / 8, 0),
});

export const FNSAVE = x87NoWait("FNSAVE", "Store state and initialize", {
	forms: [["DD /6", "M", { sized: true }]],
	meaning: (x) => x.helper("fpuStoreEnvironment", x.effectiveAddress(), x.size / 8, 1),
});
