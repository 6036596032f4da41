import { describe, expect, it } from "vitest";
import { FLOAT, type FloatName, float } from "../../src/wasm/float.ts";
import { ModuleBuilder } from "../../src/wasm/module.ts";

type Value = number | bigint;

const view = new DataView(new ArrayBuffer(8));

function bitsOf32(value: number): number {
	view.setFloat32(0, value);
	return view.getInt32(0);
}

function bitsOf64(value: number): bigint {
	view.setFloat64(0, value);
	return view.getBigInt64(0);
}

function fromBits(bits: Value): number {
	if (typeof bits === "bigint") view.setBigInt64(0, bits);
	else view.setInt32(0, bits);
	return typeof bits === "bigint" ? view.getFloat64(0) : view.getFloat32(0);
}

/** To the nearest integer, ties to even. */
function nearest(x: number): number {
	const whole = Math.round(x);
	return whole - x === 0.5 && whole % 2 !== 0 ? whole - 1 : whole;
}

/** What each instruction gives, in JavaScript's numbers; of f32 it is rounded once more. */
const MEANING: Readonly<Record<string, (a: number, b: number) => Value>> = {
	eq: (a, b) => Number(a === b),
	ne: (a, b) => Number(a !== b),
	lt: (a, b) => Number(a < b),
	gt: (a, b) => Number(a > b),
	le: (a, b) => Number(a <= b),
	ge: (a, b) => Number(a >= b),
	abs: Math.abs,
	neg: (a) => -a,
	ceil: Math.ceil,
	floor: Math.floor,
	trunc: Math.trunc,
	nearest,
	sqrt: Math.sqrt,
	add: (a, b) => a + b,
	sub: (a, b) => a - b,
	mul: (a, b) => a * b,
	div: (a, b) => a / b,
	convert_i32_s: (a) => a,
	convert_i64_s: Number,
	demote_f64: (a) => a,
	promote_f32: (a) => a,
	reinterpret_f32: bitsOf32,
	reinterpret_f64: bitsOf64,
	reinterpret_i32: fromBits,
	reinterpret_i64: fromBits,
	trunc_sat_f64_s: (a) => Math.trunc(a) + 0,
};

const INPUTS: Readonly<Record<string, readonly Value[]>> = {
	i32: [0, 7, -3, 0x3fc00000],
	i64: [0n, 7n, -3n, 0x3ff8000000000000n],
	f32: [1.5, 2.5, -0.75, 100],
	f64: [1.5, 2.5, -0.75, 100],
};

describe("floating-point instructions", () => {
	it.each(Object.keys(FLOAT) as FloatName[])("%s gives what its name says", (name) => {
		const [, params, result] = FLOAT[name];
		const m = new ModuleBuilder();
		m.export(m.func("f", params, [result], (f) => f.return(float(name, ...params.map((_, n) => f.param(n))))));
		const memory = new WebAssembly.Memory({ initial: 1, maximum: 65535, shared: true });
		const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.encode()), { env: { memory } });
		const run = (exports as unknown as { f(...args: Value[]): Value }).f;
		const meaning = MEANING[name.split(".")[1]!]!;
		for (const a of INPUTS[params[0]!]!)
			for (const b of INPUTS[params[0]!]!) {
				let expected = meaning(a as number, b as number);
				if (result === "f32") expected = Math.fround(Number(expected));
				if (result === "i64") expected = BigInt(expected);
				expect([name, a, b, run(...[a, b].slice(0, params.length))]).toEqual([name, a, b, expected]);
			}
	});

	it("refuse operands of other types", () => {
		const m = new ModuleBuilder();
		m.func("f", ["i32"], ["f64"], (f) => {
			expect(() => float("f64.sqrt", f.param(0))).toThrow("operands of f64.sqrt");
		});
	});
});
