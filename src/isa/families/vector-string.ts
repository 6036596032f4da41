import { constant, type Expr, FALSE } from "../expr.ts";
import { type Family, type FormLine, family } from "../family.ts";
import { immediateOf } from "../packed.ts";
import { RAX, RCX, RDX } from "../registers.ts";
import type { Semantics } from "../semantics.ts";
import { laneMask, lanes, pure, splat, vector } from "../vector.ts";

/** Elements of a string: 16 bytes or, with immediate bit 0, 8 words. */
function elements(immediate: Expr): Expr {
	return constant(32, 16).shrU(immediate.and(1));
}

/** Elements before the first that is 0. */
function implicitLength(a: Expr, immediate: Expr): Expr {
	const zero = constant(128, 0);
	const bytes = laneMask("i8x16.bitmask", vector("i8x16.eq", a, zero)).or(0x10000);
	const words = laneMask("i16x8.bitmask", vector("i16x8.eq", a, zero)).or(0x100);
	return immediate.bit(0).select(words, bytes).ctz();
}

/** Magnitude of a signed register, at most all elements. */
function explicitLength(x: Semantics, register: number, immediate: Expr): Expr {
	const value = x.register(register, x.size === 64 ? 64 : 32);
	const magnitude = value.sign().select(value.neg(), value);
	const most = elements(immediate);
	return magnitude.ltU(16).select(magnitude.cast(32).ltU(most).select(magnitude.cast(32), most), most);
}

/** Ones in the elements whose bits are set. */
function expand(bits: Expr, immediate: Expr): Expr {
	const powers = [1, 2, 4, 8, 16, 32, 64, 128];
	const inBytes = lanes(8, [...powers, ...powers]);
	const inWords = lanes(16, powers);
	const spread = vector("i8x16.swizzle", bits.zext(128), lanes(8, [...powers.map(() => 0), ...powers.map(() => 1)]));
	const bytes = vector("i8x16.eq", spread.and(inBytes), inBytes);
	const words = vector("i16x8.eq", splat(16, bits).and(inWords), inWords);
	return immediate.bit(0).select(words, bytes);
}

function compare(explicit: boolean, index: boolean): (x: Semantics) => void {
	return (x) => {
		const immediate = immediateOf(x);
		const [a, b] = [x.read(0), x.read(1)];
		const lengthA = explicit ? explicitLength(x, RAX, immediate) : implicitLength(a, immediate);
		const lengthB = explicit ? explicitLength(x, RDX, immediate) : implicitLength(b, immediate);
		const found = pure("compareStrings", a, b, lengthA, lengthB, immediate);
		const count = elements(immediate);
		if (index) {
			const lowest = found.ctz();
			const highest = found.clz().xor(31);
			const number = immediate.bit(6).select(highest, lowest);
			x.setRegister(RCX, found.eq(0).select(count, number));
		} else x.writeVector(2, immediate.bit(6).select(expand(found, immediate), found.zext(128)));
		x.setFlags({
			cf: found.ne(0),
			zf: lengthB.ltU(count),
			sf: lengthA.ltU(count),
			of: found.bit(0),
			af: FALSE,
			pf: FALSE,
		});
	};
}

function strings(name: string, title: string, opcode: string, explicit: boolean, index: boolean): Family {
	const options = { aligned: false, ...(explicit ? { sized: "y" as const } : {}) };
	// XMM0 as a destination stands behind the sources here; the immediate is last.
	const operands = index ? "Vdq, Wdq, Ib" : "Vdq, Wdq, XMM0, Ib";
	const forms: FormLine[] = [
		[`66 0F 3A ${opcode} /r ib`, operands, { ...options, feature: "sse4.2" }],
		[`VEX.128.66.0F3A${explicit ? "" : ".WIG"} ${opcode} /r ib`, operands, { ...options, feature: "avx" }],
	];
	return family(name, title, {
		forms,
		aliases: [`V${name}`, ...(explicit ? [`${name}64`, `V${name}64`] : [])],
		meaning: compare(explicit, index),
	});
}

export const PCMPESTRM = strings("PCMPESTRM", "Compare strings of given lengths, mask", "60", true, false);
export const PCMPESTRI = strings("PCMPESTRI", "Compare strings of given lengths, index", "61", true, true);
export const PCMPISTRM = strings("PCMPISTRM", "Compare strings that end with 0, mask", "62", false, false);
export const PCMPISTRI = strings("PCMPISTRI", "Compare strings that end with 0, index", "63", false, true);
