import { type Arg, type Ex, i32, i64, type Local } from "../../../wasm/expression.ts";
import { call, type FunctionBuilder } from "../../../wasm/function.ts";
import { F } from "../../layout.ts";
import type { Core } from "../core.ts";
import { type Format, MXCSR, RC } from "./format.ts";

/** Biased exponent that an unpacked zero has: below every other, so that it is the one that is aligned. */
const ZERO_EXPONENT = -0x4000;

/**
 * A finite number taken apart: its value is `significand` · 2^-62 · 2^(exponent - bias), the leading bit of the significand
 * is bit 62; that of zero is 0.
 */
export interface Unpacked {
	readonly sign: Local;
	readonly exponent: Local;
	readonly significand: Local;
}

/** What the functions on one format are written with. */
export class FloatCode {
	readonly core: Core;
	readonly f: FunctionBuilder;
	readonly st: Local;
	readonly format: Format;
	/** MXCSR as the operation sees it. */
	readonly mxcsr: Local;

	/** `mxcsr`: control in the place of the register's. */
	constructor(core: Core, f: FunctionBuilder, format: Format, mxcsr?: Local) {
		this.core = core;
		this.f = f;
		this.st = f.param(0);
		this.format = format;
		this.mxcsr = mxcsr ?? f.let(F.mxcsr.of(this.st));
	}

	/** Notes exception flags. */
	raise(flags: Arg): void {
		F.floatRaised.set(this.f, this.st, F.floatRaised.of(this.st).or(flags));
	}

	/** Returns the default NaN of an invalid operation. */
	invalid(): void {
		this.raise(MXCSR.ie);
		this.f.return(this.format.indefinite);
	}

	get rounding(): Ex {
		return this.mxcsr.shrU(MXCSR.rcShift).and(3);
	}

	/** Makes denormal operands zeros of their sign where DAZ says so. */
	flush(...operands: Local[]): void {
		const { f, format, mxcsr } = this;
		f.if(mxcsr.and(MXCSR.daz), () => {
			for (const operand of operands)
				f.if(format.isDenormal(operand), () => f.set(operand, operand.and(format.signBit)));
		});
	}

	/** Raises DE where an operand is a denormal. */
	noteDenormals(...operands: Ex[]): void {
		const any = operands.map((operand) => this.format.isDenormal(operand)).reduce((all, one) => all.or(one));
		this.f.if(any, () => this.raise(MXCSR.de));
	}

	isSignaling(x: Ex): Ex {
		const { format } = this;
		return x.and(format.bits(format.quiet)).eqz().and(format.isNan(x));
	}

	/** Returns the NaN that a NaN operand leads to: the first one, quiet (SDM 1 table 4-7). */
	propagate(...operands: Local[]): void {
		const { f, format } = this;
		const any = operands.map((x) => format.isNan(x)).reduce((all, one) => all.or(one));
		f.if(any, () => {
			f.if(
				operands.map((x) => this.isSignaling(x)).reduce((all, one) => all.or(one)),
				() => this.raise(MXCSR.ie),
			);
			for (const x of operands) f.if(format.isNan(x), () => f.return(x.or(format.bits(format.quiet))));
		});
	}

	/** Takes a finite number apart; denormals raise DE. */
	unpack(x: Local): Unpacked {
		const { f, format } = this;
		const sign = f.let(format.sign(x));
		const exponent = f.let(format.exponent(x));
		const up = 62 - format.fraction;
		const significand = f.let(
			x
				.and(format.bits(format.minNormal - 1n))
				.extU()
				.shl(up),
		);
		f.if(
			exponent,
			() => f.set(significand, significand.or(1n << 62n)),
			() =>
				f.if(
					significand.eqz(),
					() => f.set(exponent, ZERO_EXPONENT),
					() => {
						this.raise(MXCSR.de);
						f.set(exponent, i32(1).sub(this.normalize(significand)));
					},
				),
		);
		return { sign, exponent, significand };
	}

	/** Shifts the leading bit of `significand`, 62 or below, to 62; gives by how much, i32. */
	normalize(significand: Local): Local {
		const { f } = this;
		const shift = f.let(significand.clz().sub(1));
		f.set(significand, significand.shl(shift));
		return f.let(shift.wrap());
	}

	/** Bits of a number of this sign with these bits but for the sign. */
	signed(sign: Ex, bits: Arg): Ex {
		const { format } = this;
		const wide = format.int === "i64" ? sign.extU() : sign;
		return wide.shl(format.width - 1).or(typeof bits === "bigint" ? format.bits(bits) : bits);
	}

	/** The zero that an exact sum of opposite numbers is: -0 only where rounding goes down. */
	exactZero(): Ex {
		return this.signed(this.rounding.eq(RC.down), 0);
	}

	/** Rounds, packs and returns; `significand` has its leading bit at 62. */
	round(sign: Ex, exponent: Ex, significand: Ex): void {
		const { f, core, format } = this;
		f.return(call(core.fn(`${format.name}_round`), this.st, this.mxcsr, sign, exponent, significand));
	}
}

/** `value` shifted right by `count`, an i64; the lowest bit is set where any bit was lost. */
export function shiftRightSticky(f: FunctionBuilder, value: Local, count: Local): void {
	f.if(
		count.gtU(62),
		() => f.set(value, value.ne(0).extU()),
		() => f.set(value, value.shrU(count).or(value.and(i64(1).shl(count).sub(1)).ne(0).extU())),
	);
}
