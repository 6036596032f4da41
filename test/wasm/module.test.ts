import { describe, expect, it } from "vitest";
import { i32, i64 } from "../../src/wasm/expression.ts";
import { call } from "../../src/wasm/function.ts";
import { ModuleBuilder } from "../../src/wasm/module.ts";
import { BINARY, COMPARE, UNARY } from "../../src/wasm/opcodes.ts";

type Exports = Record<string, (...args: (number | bigint)[]) => number | bigint>;

function instantiate(m: ModuleBuilder, env: Record<string, unknown> = {}): Exports {
	const memory = new WebAssembly.Memory({ initial: 1, maximum: 65535, shared: true });
	return new WebAssembly.Instance(new WebAssembly.Module(m.encode()), { env: { memory, ...env } })
		.exports as unknown as Exports;
}

/** What each operation means, said independently in BigInt arithmetic. */
const meaning: Record<string, (a: bigint, b: bigint, w: number) => bigint> = {
	add: (a, b) => a + b,
	sub: (a, b) => a - b,
	mul: (a, b) => a * b,
	divS: (a, b, w) => BigInt.asIntN(w, a) / BigInt.asIntN(w, b),
	divU: (a, b) => a / b,
	remS: (a, b, w) => BigInt.asIntN(w, a) % BigInt.asIntN(w, b),
	remU: (a, b) => a % b,
	and: (a, b) => a & b,
	or: (a, b) => a | b,
	xor: (a, b) => a ^ b,
	shl: (a, b, w) => a << (b % BigInt(w)),
	shrS: (a, b, w) => BigInt.asIntN(w, a) >> (b % BigInt(w)),
	shrU: (a, b, w) => a >> (b % BigInt(w)),
	rotl: (a, b, w) => (a << (b % BigInt(w))) | (a >> (BigInt(w) - (b % BigInt(w)))),
	rotr: (a, b, w) => (a >> (b % BigInt(w))) | (a << (BigInt(w) - (b % BigInt(w)))),
	eq: (a, b) => BigInt(a === b),
	ne: (a, b) => BigInt(a !== b),
	ltS: (a, b, w) => BigInt(BigInt.asIntN(w, a) < BigInt.asIntN(w, b)),
	ltU: (a, b) => BigInt(a < b),
	gtS: (a, b, w) => BigInt(BigInt.asIntN(w, a) > BigInt.asIntN(w, b)),
	gtU: (a, b) => BigInt(a > b),
	leS: (a, b, w) => BigInt(BigInt.asIntN(w, a) <= BigInt.asIntN(w, b)),
	leU: (a, b) => BigInt(a <= b),
	geS: (a, b, w) => BigInt(BigInt.asIntN(w, a) >= BigInt.asIntN(w, b)),
	geU: (a, b) => BigInt(a >= b),
	clz: (a, _b, w) => BigInt(a === 0n ? w : w - a.toString(2).length),
	ctz: (a, _b, w) => BigInt(a === 0n ? w : (a.toString(2).match(/0*$/)?.[0].length ?? 0)),
	popcnt: (a) => BigInt(a.toString(2).replaceAll("0", "").length),
	sext8: (a) => BigInt.asIntN(8, a),
	sext16: (a) => BigInt.asIntN(16, a),
};

describe.each([
	["i32", 32],
	["i64", 64],
] as const)("%s instructions", (type, width) => {
	const values = [0x8000_0000_0000_0001n, 0xffff_ffff_ffff_fff5n, 0x1234_5678_9abc_7f80n, 3n, 0x7fff_8001n].map((v) =>
		BigInt.asUintN(width, v),
	);
	const js = (v: bigint): number | bigint => (type === "i32" ? Number(BigInt.asIntN(32, v)) : v);
	const names = [...Object.keys(BINARY), ...Object.keys(COMPARE), ...Object.keys(UNARY)];

	it.each(names)("%s computes what its name says", (name) => {
		const m = new ModuleBuilder();
		const isCompare = name in COMPARE;
		m.export(
			m.func("f", [type, type], [isCompare ? "i32" : type], (f) => {
				const method = f.param(0)[name as "add"].bind(f.param(0));
				f.return(method(f.param(1)));
			}),
		);
		const { f } = instantiate(m);
		const bits = isCompare ? 32 : width;
		for (const a of values)
			for (const b of values) {
				const wanted = BigInt.asUintN(bits, meaning[name]!(a, b, width));
				expect(BigInt.asUintN(bits, BigInt(f!(js(a), js(b)))), `${name}(${a}, ${b})`).toBe(wanted);
			}
	});
});

describe("control flow", () => {
	it("switch runs the selected case and the default otherwise", () => {
		const m = new ModuleBuilder();
		m.export(
			m.func("f", ["i32"], ["i32"], (f) => {
				f.switch(f.param(0), [() => f.return(10), undefined, () => f.return(12)], () => f.return(99));
				f.return(-1);
			}),
		);
		const { f } = instantiate(m);
		expect([0, 1, 2, 3, -1].map((n) => f!(n))).toEqual([10, 99, 12, 99, 99]);
	});

	it("while loops until its condition fails; check returns a failing status", () => {
		const m = new ModuleBuilder();
		const failing = m.func("failing", ["i32"], ["i32"], (f) => f.return(f.param(0).gtU(5)));
		m.export(
			m.func("f", ["i32"], ["i32"], (f) => {
				const sum = f.local("i32", 0);
				const n = f.local("i32", f.param(0));
				f.while(n.ne(0), () => {
					f.set(sum, sum.add(n));
					f.set(n, n.sub(1));
				});
				f.check(call(failing, sum));
				f.return(sum.add(100));
			}),
		);
		const { f } = instantiate(m);
		expect([f!(0), f!(2), f!(10)]).toEqual([100, 103, 1]);
	});

	it("tail calls, indirect calls and imports reach their targets", () => {
		const m = new ModuleBuilder();
		const seen = m.import("seen", ["i32"], []);
		const twice = m.func("twice", ["i32"], ["i32"], (f) => f.return(f.param(0).mul(2)));
		m.element(3, [twice]);
		const go = m.func("go", ["i32"], ["i32"], (f) => f.tailCall(twice, f.param(0).add(1)));
		m.export(go);
		m.export(
			m.func("indirect", ["i32", "i32"], ["i32"], (f) => {
				f.call(seen, f.param(1));
				f.return(m.callIndirect(twice, f.param(0), f.param(1)));
			}),
		);
		const noted: unknown[] = [];
		const x = instantiate(m, { seen: (v: unknown) => noted.push(v) });
		expect([x["go"]!(4), x["indirect"]!(3, 21), noted]).toEqual([10, 42, [21]]);
	});
});

describe("memory and constants", () => {
	it("stores and loads of every width meet", () => {
		const m = new ModuleBuilder();
		m.export(
			m.func("f", [], ["i64"], (f) => {
				f.store("i64", i32(64), i64(-2n));
				f.store("i32_8", i32(64), 0x7f, 1);
				f.store("i64_16", i32(60), 0x1234, 6);
				f.memoryCopy(i32(128), i32(64), 8);
				f.memoryFill(i32(132), 0x55, 2);
				f.return(i32(128).load("i64"));
			}),
		);
		const { f } = instantiate(m);
		expect(BigInt.asUintN(64, BigInt(f!()))).toBe(0xffff5555_12347ffen | 0xffff_0000_0000_0000n);
	});

	it.each([0n, -1n, 63n, 64n, -64n, -65n, 0x7fffffffn, -0x80000000n, 0x80000000n, 0xffff_ffff_8000_0000n, 1n << 62n])(
		"the 64-bit constant %s survives encoding",
		(value) => {
			const m = new ModuleBuilder();
			m.export(m.func("f", [], ["i64"], (f) => f.return(i64(value))));
			expect(instantiate(m)["f"]!()).toBe(BigInt.asIntN(64, value));
		},
	);
});
