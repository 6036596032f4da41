import { type Check, family } from "../family.ts";
import type { Feature } from "../features.ts";

/** One with its 64-bit variant, which saves instruction and data pointers of 64 bits: the helper's last argument tells. */
function both(
	name: string,
	title: string,
	code: string,
	helper: string,
	kind: number,
	feature: Feature,
	checks: Check[],
) {
	return ["", "64"].map((suffix) =>
		family(`${name}${suffix}`, title, {
			forms: [suffix ? [`NP REX.W ${code}`, "M", { mode: "o64" }] : [`NP ${code}`, "M"]],
			feature,
			checks,
			meaning: (x) => x.helper(helper, x.effectiveAddress(), kind, suffix ? 1 : 0),
		}),
	);
}

export const FXSAVE = both("FXSAVE", "Save FPU and SSE state", "0F AE /0", "fxsave", 0, "fxsr", ["fpuNoWait"]);
export const FXRSTOR = both("FXRSTOR", "Restore FPU and SSE state", "0F AE /1", "fxrstor", 0, "fxsr", ["fpuNoWait"]);

/** Kinds of `xsave`: 0 XSAVE, 1 XSAVEOPT, 2 XSAVEC, 3 XSAVES; of `xrstor`: 0 XRSTOR, 1 XRSTORS. */
export const XSAVE = both("XSAVE", "Save state components", "0F AE /4", "xsave", 0, "xsave", []);
export const XSAVEOPT = both("XSAVEOPT", "Save state components that changed", "0F AE /6", "xsave", 1, "xsaveopt", []);
export const XSAVEC = both("XSAVEC", "Save state components, compacted", "0F C7 /4", "xsave", 2, "xsavec", []);
export const XSAVES = both("XSAVES", "Save state components, supervisor", "0F C7 /5", "xsave", 3, "xsaves", []);
export const XRSTOR = both("XRSTOR", "Restore state components", "0F AE /5", "xrstor", 0, "xsave", []);
export const XRSTORS = both("XRSTORS", "Restore state components, supervisor", "0F C7 /3", "xrstor", 1, "xsaves", []);
