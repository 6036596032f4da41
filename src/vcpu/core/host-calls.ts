import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { F, REC_SIZE } from "../layout.ts";
import type { Core } from "./core.ts";

/**
 * What the host is asked or told in the middle of a block. It sees the time as at an exit: neither the instruction nor those behind it in
 * the block have retired. It may shorten the budget; the instruction that calls has to end its block.
 */
export function defineHostCalls(core: Core): void {
	/** `hostMsr(state, rec, is write, number)` → 1 where the host has that register; the value is in F.scratch. `rec` 0: between blocks. */
	core.define("hostMsr", ["i32", "i32", "i32", "i32"], ["i32"], (f) => {
		const [st, rec, isWrite, number] = [f.param(0), f.param(1), f.param(2), f.param(3)];
		const known = f.local("i32", 0);
		atExactTime(f, st, rec, () => f.set(known, call(core.imports.msr, st, isWrite, number)));
		f.return(known);
	});

	/** `writeCr8(state, rec, value)`: `value` 0..15 becomes the task priority, and the host hears of it. */
	core.define("writeCr8", ["i32", "i32", "i32"], [], (f) => {
		const [st, rec, value] = [f.param(0), f.param(1), f.param(2)];
		atExactTime(f, st, rec, () => f.call(core.imports.taskPriority, st, value));
		F.cr8.set(f, st, value);
	});
}

function atExactTime(f: FunctionBuilder, st: Ex, rec: Ex, ask: () => void): void {
	const before = rec.sub(F.blockFirst.of(st)).divU(REC_SIZE);
	const charged = f.let(i32(0).when(rec.eqz(), F.blockCount.of(st).sub(before)));
	F.budget.set(f, st, F.budget.of(st).add(charged));
	ask();
	F.budget.set(f, st, F.budget.of(st).sub(charged));
}
