import { assert } from "../../base/errors.ts";
import { constant, type Expr, type Width } from "../expr.ts";
import { family } from "../family.ts";
import { RAX, RDX } from "../registers.ts";
import type { Semantics } from "../semantics.ts";

const DOUBLE: Partial<Record<Width, Width>> = { 8: 16, 16: 32, 32: 64 };

/** Twice as many bits. */
function doubled(width: Width): Width {
	const wide = DOUBLE[width];
	assert(wide, "128 bits need more than an expression");
	return wide;
}

/** CF and OF say that the product needs its upper half; SF, ZF and PF follow the lower half, as Intel's processors show. */
function productFlags(x: Semantics, low: Expr, overflow: Expr): void {
	x.flags("result", low, overflow.zext(32).mul(0x801));
}

/** rDX:rAX, or AX of bytes, as one value. */
function accumulatorPair(x: Semantics, width: Width): Expr {
	if (width === 8) return x.register(RAX, 16);
	const wide = doubled(width);
	return x.register(RDX, width).zext(wide).shl(width).or(x.register(RAX, width).zext(wide));
}

function setAccumulatorPair(x: Semantics, low: Expr, high: Expr): void {
	x.setRegister(RAX, low);
	if (low.width === 8) x.setRegister(RAX, high, true);
	else x.setRegister(RDX, high);
}

/** Both halves of a product of 64-bit values. */
function product64(a: Expr, b: Expr, signed: boolean): [low: Expr, high: Expr] {
	return [a.mul(b), a.mulHigh(b, signed)];
}

function multiplyAccumulator(x: Semantics, signed: boolean): void {
	const width = x.width(0);
	if (width === 64) {
		const [low, high] = product64(x.register(RAX, 64), x.read(0), signed);
		setAccumulatorPair(x, low, high);
		productFlags(x, low, high.ne(signed ? low.shrS(63) : 0));
		return;
	}
	const wide = doubled(width);
	const product = x.register(RAX, width).cast(wide, signed).mul(x.read(0).cast(wide, signed));
	const low = product.trunc(width);
	if (width === 8) x.setRegister(RAX, product);
	else setAccumulatorPair(x, low, product.shrU(width).trunc(width));
	productFlags(x, low, product.ne(low.cast(wide, signed)));
}

export const MUL = family("MUL", "Unsigned multiply", {
	forms: [
		["F6 /4", "Eb"],
		["F7 /4", "Ev"],
	],
	undefined: ["sf", "zf", "af", "pf"],
	meaning: (x) => multiplyAccumulator(x, false),
});

export const IMUL = family("IMUL", "Signed multiply", {
	forms: [
		["F6 /5", "Eb"],
		["F7 /5", "Ev"],
		["0F AF /r", "Gv, Ev"],
		["6B /r ib", "Gv, Ev, sIb"],
		["69 /r iz", "Gv, Ev, Iz"],
	],
	undefined: ["sf", "zf", "af", "pf"],
	meaning: (x) => {
		if (x.operands.length === 1) return multiplyAccumulator(x, true);
		const width = x.width(0);
		const [a, b] = [x.read(1), x.read(x.operands.length === 3 ? 2 : 0)];
		if (width === 64) {
			const [low, high] = product64(a, b, true);
			x.write(0, low);
			productFlags(x, low, high.ne(low.shrS(63)));
			return;
		}
		const wide = doubled(width);
		const product = a.sext(wide).mul(b.sext(wide));
		const low = product.trunc(width);
		x.write(0, low);
		productFlags(x, low, product.ne(low.sext(wide)));
	},
});

const DIVIDE_FORMS = [
	["F6 /6", "Eb"],
	["F7 /6", "Ev"],
] as const;

export const DIV = family("DIV", "Unsigned divide", {
	forms: DIVIDE_FORMS,
	undefined: ["cf", "of", "sf", "zf", "af", "pf"],
	meaning: (x) => {
		const width = x.width(0);
		if (width === 64) return x.helper("divide", x.read(0), 0);
		const wide = width === 8 ? 32 : doubled(width);
		const divisor = x.read(0);
		const high = width === 8 ? x.register(RAX, 8, true) : x.register(RDX, width);
		// An upper half not below the divisor means a quotient too large, and includes division by 0.
		const tooLarge = divisor.leU(high);
		x.fault("DE", tooLarge);
		const dividend = accumulatorPair(x, width).zext(wide);
		const safe = tooLarge.select(constant(wide, 1), divisor.zext(wide));
		setAccumulatorPair(x, dividend.divU(safe).trunc(width), dividend.remU(safe).trunc(width));
	},
});

export const IDIV = family("IDIV", "Signed divide", {
	forms: [
		["F6 /7", "Eb"],
		["F7 /7", "Ev"],
	],
	undefined: ["cf", "of", "sf", "zf", "af", "pf"],
	meaning: (x) => {
		const width = x.width(0);
		if (width === 64) return x.helper("divide", x.read(0), 1);
		const wide = width === 8 ? 32 : 64;
		const divisor = x.read(0).sext(wide);
		const dividend = accumulatorPair(x, width).sext(wide);
		let unsafe = divisor.eq(0);
		if (width === 32) unsafe = unsafe.or(divisor.eq(-1).and(dividend.eq(1n << 63n)));
		const safe = unsafe.select(constant(wide, 1), divisor);
		const quotient = dividend.divS(safe);
		x.fault("DE", unsafe.or(quotient.ne(quotient.trunc(width).sext(wide))));
		setAccumulatorPair(x, quotient.trunc(width), dividend.remS(safe).trunc(width));
	},
});
