import { type Ex, i32, i64 } from "../../../wasm/expression.ts";
import { type FloatName, float } from "../../../wasm/float.ts";

/** A binary interchange format (IEEE 754, SDM 1 4.2.2) and the integer type that holds its bits. */
export class Format {
	readonly name: "f16" | "f32" | "f64";
	readonly int: "i32" | "i64";
	/** Bits of the fraction, without the integer bit. */
	readonly fraction: number;
	/** Biased exponent of infinities and NaNs. */
	readonly maxExponent: number;
	readonly bias: number;

	constructor(name: Format["name"], fraction: number, exponentBits: number) {
		this.name = name;
		this.int = name === "f64" ? "i64" : "i32";
		this.fraction = fraction;
		this.maxExponent = (1 << exponentBits) - 1;
		this.bias = this.maxExponent >> 1;
	}

	/** A constant of the integer type. */
	bits(value: bigint): Ex {
		return this.int === "i64" ? i64(BigInt.asIntN(64, value)) : i32(Number(BigInt.asIntN(32, value)));
	}
	get width(): number {
		return this.name === "f16" ? 16 : this.int === "i64" ? 64 : 32;
	}
	get signBit(): Ex {
		return this.bits(1n << BigInt(this.width - 1));
	}
	/** Bits of +∞. */
	get infinity(): bigint {
		return BigInt(this.maxExponent) << BigInt(this.fraction);
	}
	/** The bit that makes a NaN quiet. */
	get quiet(): bigint {
		return 1n << BigInt(this.fraction - 1);
	}
	/** The QNaN that invalid operations give (SDM 1 4.2.2: QNaN floating-point indefinite). */
	get indefinite(): Ex {
		return this.bits((1n << BigInt(this.width - 1)) | this.infinity | this.quiet);
	}
	/** Smallest normal number. */
	get minNormal(): bigint {
		return 1n << BigInt(this.fraction);
	}

	/** Native operation of f32 or f64 on bits, giving bits. */
	native(op: "add" | "sub" | "mul" | "div" | "sqrt" | "floor" | "ceil" | "trunc" | "nearest", ...operands: Ex[]): Ex {
		const name = `${this.native32 ? "f32" : "f64"}.${op}` as FloatName;
		return this.fromFloat(float(name, ...operands.map((operand) => this.toFloat(operand))));
	}
	private get native32(): boolean {
		return this.name === "f32";
	}
	toFloat(bits: Ex): Ex {
		return this.native32 ? float("f32.reinterpret_i32", bits) : float("f64.reinterpret_i64", bits);
	}
	fromFloat(value: Ex): Ex {
		return this.native32 ? float("i32.reinterpret_f32", value) : float("i64.reinterpret_f64", value);
	}

	/** Conditions on a number's bits; `x` without its sign shifted out of the way is compared. */
	isNan(x: Ex): Ex {
		return this.magnitude(x).gtU(this.bits(this.infinity << 1n));
	}
	isInfinite(x: Ex): Ex {
		return this.magnitude(x).eq(this.bits(this.infinity << 1n));
	}
	isZero(x: Ex): Ex {
		return this.magnitude(x).eqz();
	}
	/** Zero wraps to the largest number. */
	isDenormal(x: Ex): Ex {
		return this.magnitude(x)
			.sub(1)
			.ltU(this.bits((this.minNormal << 1n) - 1n));
	}
	/** Whether the magnitude lies above the smallest normal number and below infinity. */
	isPlain(x: Ex): Ex {
		const first = (this.minNormal << 1n) + 1n;
		const end = this.infinity << 1n;
		return this.magnitude(x)
			.sub(this.bits(first))
			.ltU(this.bits(end - first));
	}
	/** The bits but for the sign, twice. */
	magnitude(x: Ex): Ex {
		return x.shl(1);
	}
	/** 0 or 1, i32. */
	sign(x: Ex): Ex {
		return x.shrU(this.width - 1).wrap();
	}
	exponent(x: Ex): Ex {
		return x.shrU(this.fraction).wrap().and(this.maxExponent);
	}
}

export const F16 = new Format("f16", 10, 5);
export const F32 = new Format("f32", 23, 8);
export const F64 = new Format("f64", 52, 11);

/** MXCSR (SDM 1 10.2.3). */
export const MXCSR = {
	ie: 1,
	de: 2,
	ze: 4,
	oe: 8,
	ue: 16,
	pe: 32,
	daz: 0x40,
	/** The six masks, at this distance above their flags. */
	masks: 0x1f80,
	maskShift: 7,
	om: 0x400,
	um: 0x800,
	pm: 0x1000,
	rc: 0x6000,
	rcShift: 13,
	ftz: 0x8000,
	all: 0x3f,
} as const;

/** Rounding is to nearest, and PE set and masked: an inexact result would change nothing of this MXCSR. */
export function inexactKnown(mxcsr: Ex): Ex {
	return mxcsr.and(MXCSR.rc | MXCSR.pe | MXCSR.pm).eq(MXCSR.pe | MXCSR.pm);
}

/** Rounding control (SDM 1 table 4-8). */
export const RC = { nearest: 0, down: 1, up: 2, zero: 3 } as const;
