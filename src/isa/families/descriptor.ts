import { family } from "../family.ts";
import type { Semantics } from "../semantics.ts";

/** First argument of the helpers `storeTable` and `loadTable`. */
const TABLE = { gdt: 0, idt: 1 } as const;

function tableRegister(helper: "storeTable" | "loadTable", table: number) {
	return (x: Semantics): void => x.helper(helper, table, x.segment(), x.effectiveAddress(), x.size / 8);
}

export const SGDT = family("SGDT", "Store global descriptor table register", {
	forms: [["0F 01 /0", "M", { sized: true, size64: "f64" }]],
	checks: ["umip"],
	meaning: tableRegister("storeTable", TABLE.gdt),
});

export const SIDT = family("SIDT", "Store interrupt descriptor table register", {
	forms: [["0F 01 /1", "M", { sized: true, size64: "f64" }]],
	checks: ["umip"],
	meaning: tableRegister("storeTable", TABLE.idt),
});

export const LGDT = family("LGDT", "Load global descriptor table register", {
	forms: [["0F 01 /2", "M", { sized: true, size64: "f64" }]],
	checks: ["cpl0"],
	meaning: tableRegister("loadTable", TABLE.gdt),
});

export const LIDT = family("LIDT", "Load interrupt descriptor table register", {
	forms: [["0F 01 /3", "M", { sized: true, size64: "f64" }]],
	checks: ["cpl0"],
	meaning: tableRegister("loadTable", TABLE.idt),
});

export const SLDT = family("SLDT", "Store local descriptor table register", {
	forms: [["0F 00 /0", "RvMw"]],
	checks: ["protected", "umip"],
	meaning: (x) => x.write(0, x.state("ldtrSelector", x.width(0))),
});

export const STR = family("STR", "Store task register", {
	forms: [["0F 00 /1", "RvMw"]],
	checks: ["protected", "umip"],
	meaning: (x) => x.write(0, x.state("trSelector", x.width(0))),
});

export const LLDT = family("LLDT", "Load local descriptor table register", {
	forms: [["0F 00 /2", "Ew"]],
	checks: ["protected", "cpl0"],
	meaning: (x) => x.helper("lldt", x.read(0).zext(32)),
});

export const LTR = family("LTR", "Load task register", {
	forms: [["0F 00 /3", "Ew"]],
	checks: ["protected", "cpl0"],
	meaning: (x) => x.helper("ltr", x.read(0).zext(32)),
});

export const VERR = family("VERR", "Verify a segment for reading", {
	forms: [["0F 00 /4", "Ew"]],
	checks: ["protected"],
	helperFlags: { writes: ["zf"] },
	meaning: (x) => x.helper("verify", x.read(0).zext(32), 0),
});

export const VERW = family("VERW", "Verify a segment for writing", {
	forms: [["0F 00 /5", "Ew"]],
	checks: ["protected"],
	helperFlags: { writes: ["zf"] },
	meaning: (x) => x.helper("verify", x.read(0).zext(32), 1),
});

export const LAR = family("LAR", "Load access rights", {
	forms: [["0F 02 /r", "Gv, Ew"]],
	checks: ["protected"],
	helperFlags: { writes: ["zf"] },
	meaning: (x) => x.helper("lar", x.read(1).zext(32), x.registerNumber(0), x.size / 8),
});

export const LSL = family("LSL", "Load segment limit", {
	forms: [["0F 03 /r", "Gv, Ew"]],
	checks: ["protected"],
	helperFlags: { writes: ["zf"] },
	meaning: (x) => x.helper("lsl", x.read(1).zext(32), x.registerNumber(0), x.size / 8),
});

/** Memory is stored to only where the selector changes. */
export const ARPL = family("ARPL", "Adjust RPL of selector", {
	forms: [["63 /r", "Ew, Gw", { mode: "i64" }]],
	checks: ["protected"],
	meaning: (x) => {
		const [selector, source] = [x.read(0), x.read(1)];
		const below = selector.and(3).ltU(source.and(3));
		x.write(0, selector.and(0xfffc).or(source.and(3)), below);
		x.setFlags({ zf: below });
	},
});
