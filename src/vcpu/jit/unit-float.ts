import { FLOAT_FUNCTIONS, type FloatFunction } from "../../isa/float.ts";
import type { Instance } from "../../isa/table.ts";
import type { Ex, Local } from "../../wasm/expression.ts";
import { simd } from "../../wasm/expression.ts";
import { type FloatName, float } from "../../wasm/float.ts";
import { call } from "../../wasm/function.ts";
import { commitFloatFlags, floatUnmasked } from "../core/float/exceptions.ts";
import { INEXACT_KNOWN, isPlain } from "../core/float/fast.ts";
import { F32, F64, type Format } from "../core/float/format.ts";
import { floatCallee, Lanes, NATIVE_PACKED } from "../core/float/packed.ts";
import { F } from "../layout.ts";
import { typeOf } from "../print-expr.ts";
import type { UnitFrame } from "./unit-frame.ts";

/** Native arithmetic, and a condition under which its result may be wrong or raise more than PE. */
interface Native {
	readonly result: (operands: readonly Local[]) => Ex;
	readonly doubt: (result: Local, operands: readonly Local[]) => Ex;
	/** It cannot raise PE. */
	readonly exact: boolean;
}

/** Whether an instruction's arithmetic is done in place: one operation, and nothing behind it that may leave. */
export function floatInPlace({ meaning }: Instance): boolean {
	return meaning.floats.length === 0 || (meaning.floats.length === 1 && meaning.stores.length === 0);
}

/**
 * Prints the value of a float operation: natively where nothing but PE can be raised, which is set already (see core/float/fast.ts),
 * else by the core's function, with its flags; leaves where one of them is not masked.
 */
export function printFloat(frame: UnitFrame, name: FloatFunction, args: readonly Ex[]): Ex {
	const { f, st, imports } = frame;
	const operands = args.map((arg) => f.let(arg));
	const result = f.local(typeOf(FLOAT_FUNCTIONS[name].result));
	const slow = (): void => {
		F.floatRaised.set(f, st, 0);
		f.set(result, call(imports.get(floatCallee(name)), st, ...operands));
		f.if(floatUnmasked(st), () => frame.leave());
		commitFloatFlags(f, st);
	};
	const native = nativeOf(name);
	if (!native) {
		slow();
		return result;
	}
	const doubtful = f.local("i32", 1);
	const fast = (): void => {
		f.set(result, native.result(operands));
		f.set(doubtful, native.doubt(result, operands));
	};
	if (native.exact) fast();
	else f.if(F.mxcsr.of(st).and(INEXACT_KNOWN.mask).eq(INEXACT_KNOWN.value), fast);
	f.if(doubtful, slow);
	return result;
}

const any = (conditions: readonly Ex[]): Ex => conditions.reduce((all, one) => all.or(one));

function nativeOf(name: FloatFunction): Native | undefined {
	const [op = "", suffix] = name.split("_");
	if (suffix === "ps" || suffix === "pd") {
		const found = NATIVE_PACKED[op];
		if (!found) return undefined;
		const lanes = new Lanes(suffix === "ps" ? F32 : F64);
		return {
			result: (operands) => found.native(lanes, operands),
			doubt: (result, operands) => simd("v128.any_true", [found.doubt(lanes, result, ...operands)]),
			exact: found.exact === true,
		};
	}
	return suffix === "ss" || suffix === "sd" ? nativeScalar(op, suffix === "ss" ? F32 : F64) : undefined;
}

function nativeScalar(op: string, format: Format): Native | undefined {
	const denormal = (operands: readonly Ex[]): Ex => any(operands.map((x) => format.isDenormal(x)));
	switch (op) {
		case "add":
		case "sub":
			return {
				result: (operands) => format.native(op, ...operands),
				doubt: (result, operands) => denormal(operands).or(isPlain(format, result).or(format.isZero(result)).eqz()),
				exact: false,
			};
		case "mul":
		case "div":
		case "sqrt":
			return {
				result: (operands) => format.native(op, ...operands),
				doubt: (result, operands) => denormal(operands).or(isPlain(format, result).eqz()),
				exact: false,
			};
		case "relation":
			return {
				result: ([a, b]) => {
					const compare = (name: "eq" | "lt" | "gt"): Ex =>
						float(`${format.name}.${name}` as FloatName, format.toFloat(a!), format.toFloat(b!));
					return compare("eq").or(compare("lt").shl(1)).or(compare("gt").shl(2));
				},
				doubt: (result, [a, b]) => result.eqz().or(denormal([a!, b!])),
				exact: true,
			};
		default:
			return undefined;
	}
}
