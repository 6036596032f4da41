import type { Flag } from "../expr.ts";
import { type FamilyOptions, family } from "../family.ts";

/** Both take from one generator whose numbers follow from its seed, and never run dry: CF is 1, the other flags are 0. */
const NUMBER: Pick<FamilyOptions, "helperFlags" | "meaning"> = {
	helperFlags: { writes: ["cf", "pf", "af", "zf", "sf", "of"] satisfies Flag[] },
	meaning: (x) => x.helper("random", x.registerNumber(0), x.size / 8),
};

export const RDRAND = family("RDRAND", "Read random number", {
	forms: [["NFx 0F C7 /6", "Rv"]],
	feature: "rdrand",
	...NUMBER,
});

export const RDSEED = family("RDSEED", "Read random seed", {
	forms: [["NFx 0F C7 /7", "Rv"]],
	feature: "rdseed",
	...NUMBER,
});
