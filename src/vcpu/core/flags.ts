import { Expr, type Width } from "../../isa/expr.ts";
import { conditionFor, type FlagKind, flagRule, packFlags } from "../../isa/flags.ts";
import { type Ex, i32 } from "../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../wasm/function.ts";
import { ARITHMETIC_FLAGS, flagNumber, flagNumbers, widthOfA, widthOfB } from "../flag-state.ts";
import { F } from "../layout.ts";
import { ExprPrinter, type Leaves } from "../print-expr.ts";
import type { Core } from "./core.ts";

const EXPLICIT = flagNumber("explicit", 32);

/** The two values of the flag state as expressions, for {@link printFlagExpr}. */
export function flagInputs(kind: FlagKind, width: Width): [Expr, Expr] {
	return [
		new Expr(widthOfA(kind, width), { kind: "load", index: 0 }),
		new Expr(widthOfB(kind, width), { kind: "load", index: 1 }),
	];
}

/** Prints an expression over {@link flagInputs}; of values that are wider than theirs, the low bits count. */
export function printFlagExpr(f: FunctionBuilder, expr: Expr, a: Ex, b: Ex): Ex {
	const load = (index: number, width: Width): Ex => {
		const value = index === 0 ? a : b;
		return width === 64 ? value : value.wrap();
	};
	const leaves = { load } as unknown as Leaves;
	const printer = new ExprPrinter(f, leaves);
	printer.count(expr);
	return printer.print(expr);
}

function stored(f: FunctionBuilder, st: Ex, kind: FlagKind, width: Width): [Ex, Ex] {
	const load = (bits: Width, offset: number): Ex => f.let(st.load(bits === 64 ? "i64" : "i32", offset));
	return [load(widthOfA(kind, width), F.flagA.offset), load(widthOfB(kind, width), F.flagB.offset)];
}

/** Lazy flags: `readFlags`, `writeFlags`, and `condition0` … `condition7` for the even conditions of SDM 2 B.1.4.7. */
export function defineFlags(core: Core): void {
	core.define("arithmeticFlags", ["i32"], ["i32"], (f) => {
		const st = f.param(0);
		const cases: (() => void)[] = [];
		for (const { number, kind, width } of flagNumbers()) {
			cases[number] = () => {
				const [a, b] = stored(f, st, kind, width);
				const [ea, eb] = flagInputs(kind, width);
				const packed = kind === "explicit" ? ea : packFlags(flagRule(kind, width, ea, eb));
				f.return(printFlagExpr(f, packed, a, b));
			};
		}
		f.switch(F.flagKind.of(st), cases);
		f.return(0);
	});

	core.define("readFlags", ["i32"], ["i32"], (f) => {
		f.return(F.eflags.of(f.param(0)).or(call(core.fn("arithmeticFlags"), f.param(0))));
	});

	core.define("writeFlags", ["i32", "i32"], [], (f) => {
		const [st, value] = [f.param(0), f.param(1)];
		f.store("i32", st, value.and(ARITHMETIC_FLAGS), F.flagA.offset);
		F.flagKind.set(f, st, EXPLICIT);
		F.eflags.set(f, st, value.and(~ARITHMETIC_FLAGS).or(2));
	});

	for (let pair = 0; pair < 8; pair++) {
		core.define(`condition${pair}`, ["i32"], ["i32"], (f) => {
			const st = f.param(0);
			const cases: (() => void)[] = [];
			for (const { number, kind, width } of flagNumbers()) {
				cases[number] = () => {
					const [a, b] = stored(f, st, kind, width);
					const [ea, eb] = flagInputs(kind, width);
					f.return(printFlagExpr(f, conditionFor(kind, width, ea, eb, pair * 2), a, b));
				};
			}
			f.switch(F.flagKind.of(st), cases);
			f.return(i32(0));
		});
	}
}
