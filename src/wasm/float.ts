import { assert } from "../base/errors.ts";
import type { ByteWriter } from "./bytes.ts";
import { Ex } from "./expression.ts";
import type { ValueType } from "./opcodes.ts";

/** Opcode bytes, operand types, result type. */
type Instruction = readonly [code: readonly number[], params: readonly ValueType[], result: ValueType];

const consecutive = <const N extends string>(
	first: number,
	params: readonly ValueType[],
	result: ValueType,
	names: readonly N[],
): Record<N, Instruction> =>
	Object.fromEntries(names.map((name, n): [string, Instruction] => [name, [[first + n], params, result]])) as Record<
		N,
		Instruction
	>;

/** Instructions on scalar f32 and f64 by the names of the WebAssembly core specification (5.4.7). */
export const FLOAT = {
	...consecutive(0x5b, ["f32", "f32"], "i32", ["f32.eq", "f32.ne", "f32.lt", "f32.gt", "f32.le", "f32.ge"]),
	...consecutive(0x61, ["f64", "f64"], "i32", ["f64.eq", "f64.ne", "f64.lt", "f64.gt", "f64.le", "f64.ge"]),
	...consecutive(0x8b, ["f32"], "f32", [
		"f32.abs",
		"f32.neg",
		"f32.ceil",
		"f32.floor",
		"f32.trunc",
		"f32.nearest",
		"f32.sqrt",
	]),
	...consecutive(0x92, ["f32", "f32"], "f32", ["f32.add", "f32.sub", "f32.mul", "f32.div"]),
	...consecutive(0x99, ["f64"], "f64", [
		"f64.abs",
		"f64.neg",
		"f64.ceil",
		"f64.floor",
		"f64.trunc",
		"f64.nearest",
		"f64.sqrt",
	]),
	...consecutive(0xa0, ["f64", "f64"], "f64", ["f64.add", "f64.sub", "f64.mul", "f64.div"]),
	...consecutive(0xb2, ["i32"], "f32", ["f32.convert_i32_s"]),
	...consecutive(0xb4, ["i64"], "f32", ["f32.convert_i64_s"]),
	...consecutive(0xb6, ["f64"], "f32", ["f32.demote_f64"]),
	...consecutive(0xb7, ["i32"], "f64", ["f64.convert_i32_s"]),
	...consecutive(0xb9, ["i64"], "f64", ["f64.convert_i64_s"]),
	...consecutive(0xbb, ["f32"], "f64", ["f64.promote_f32"]),
	...consecutive(0xbc, ["f32"], "i32", ["i32.reinterpret_f32"]),
	...consecutive(0xbd, ["f64"], "i64", ["i64.reinterpret_f64"]),
	...consecutive(0xbe, ["i32"], "f32", ["f32.reinterpret_i32"]),
	...consecutive(0xbf, ["i64"], "f64", ["f64.reinterpret_i64"]),
	"i32.trunc_sat_f64_s": [[0xfc, 2], ["f64"], "i32"],
	"i64.trunc_sat_f64_s": [[0xfc, 6], ["f64"], "i64"],
} as const satisfies Record<string, Instruction>;
export type FloatName = keyof typeof FLOAT;

class FloatOperation extends Ex {
	readonly type: ValueType;
	private readonly code: readonly number[];
	private readonly operands: readonly Ex[];
	constructor(name: FloatName, operands: readonly Ex[]) {
		super();
		const [code, params, result] = FLOAT[name];
		assert(
			operands.length === params.length && operands.every((operand, n) => operand.type === params[n]),
			`operands of ${name}: ${operands.map((operand) => operand.type).join()}`,
		);
		this.type = result;
		this.code = code;
		this.operands = operands;
	}
	emit(out: ByteWriter): void {
		for (const operand of this.operands) operand.emit(out);
		for (const byte of this.code) out.u8(byte);
	}
}

/** A floating-point instruction as an expression. */
export function float(name: FloatName, ...operands: Ex[]): Ex {
	return new FloatOperation(name, operands);
}
