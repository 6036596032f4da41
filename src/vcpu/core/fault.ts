import { VECTOR } from "../../isa/registers.ts";
import { call } from "../../wasm/function.ts";
import { F, REC, STATUS } from "../layout.ts";
import type { Core } from "./core.ts";

/** Vectors that push an error code (SDM 3A table 6-1), as a bit set. */
export const ERROR_CODE_VECTORS =
	(1 << VECTOR.DF) |
	(1 << VECTOR.TS) |
	(1 << VECTOR.NP) |
	(1 << VECTOR.SS) |
	(1 << VECTOR.GP) |
	(1 << VECTOR.PF) |
	(1 << VECTOR.AC) |
	(1 << VECTOR.CP);

/** `raise(state, vector, code)` → stopHere: puts an exception on its way. Its delivery is the loop's business. */
export function defineFaults(core: Core): void {
	core.define("raise", ["i32", "i32", "i32"], ["i32"], (f) => {
		const [st, vector, code] = [f.param(0), f.param(1), f.param(2)];
		F.faultPending.set(f, st, 1);
		F.faultVector.set(f, st, vector);
		F.faultCode.set(f, st, code);
		f.return(STATUS.stopHere);
	});
	core.define("pageFault", ["i32", "i64", "i32"], ["i32"], (f) => {
		const [st, linear, code] = [f.param(0), f.param(1), f.param(2)];
		F.faultAddress.set(f, st, linear);
		f.return(call(core.fn("raise"), st, VECTOR.PF, code));
	});
	/** `instructionIp(state, record)`, `nextIp(state, record)`: within CS, i64. */
	core.define("instructionIp", ["i32", "i32"], ["i64"], (f) => {
		f.return(F.blockIp.of(f.param(0)).add(f.param(1).load("i64_16u", REC.ip)));
	});
	core.define("nextIp", ["i32", "i32"], ["i64"], (f) => {
		f.return(call(core.fn("instructionIp"), f.param(0), f.param(1)).add(f.param(1).load("i64_8u", REC.length)));
	});
	/** A segment-limit violation of segment number `n`: #SS(0) for SS, else #GP(0). */
	core.define("segmentFault", ["i32", "i32"], ["i32"], (f) => {
		const [st, n] = [f.param(0), f.param(1)];
		f.return(
			call(
				core.fn("raise"),
				st,
				n
					.eq(2)
					.shrU(0)
					.mul(VECTOR.SS - VECTOR.GP)
					.add(VECTOR.GP),
				0,
			),
		);
	});
}
