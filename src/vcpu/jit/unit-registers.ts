import { assert } from "../../base/errors.ts";
import type { Width } from "../../isa/expr.ts";
import { type Ex, i64 } from "../../wasm/expression.ts";
import type { FunctionBuilder } from "../../wasm/function.ts";
import { GPRS } from "../layout.ts";
import { UnitVariable } from "./unit-variable.ts";

/**
 * General registers of a unit: locals, of 32 bits outside 64-bit mode, where the upper halves are 0 and nobody sees them
 * (SDM 1 3.4.1.1), else of 64. Sets of registers are bits, 1 << number.
 */
export class UnitRegisters {
	readonly type: "i32" | "i64";
	private readonly f: FunctionBuilder;
	private readonly variables: readonly (UnitVariable | undefined)[];

	/** `used`: the registers that the unit reads or writes; there are no others. */
	constructor(f: FunctionBuilder, long: boolean, used: number) {
		this.f = f;
		this.type = long ? "i64" : "i32";
		this.variables = Array.from({ length: 16 }, (_, n) =>
			(used >> n) & 1 ? new UnitVariable(f, this.type) : undefined,
		);
	}

	private variable(n: number): UnitVariable {
		const variable = this.variables[n];
		assert(variable, `register ${n} of a unit`);
		return variable;
	}

	/** All of register `n`, of type {@link type}. */
	whole(n: number): Ex {
		return this.variable(n).value;
	}

	/** `width` bits of register `n`: an i64 where it is 64, else an i32. `high`: bits 8 to 15. */
	read(n: number, width: Width, high = false): Ex {
		const local = this.whole(n);
		if (width === 64) return local.extU();
		const low = local.wrap();
		if (high) return low.shrU(8).and(0xff);
		return width === 32 ? low : low.and(width === 8 ? 0xff : 0xffff);
	}

	/** Writes `width` bits: 32 clear the upper half, fewer leave the rest alone. */
	write(n: number, width: Width, high: boolean, value: Ex): void {
		const local = this.whole(n);
		if (width === 64 || width === 32) this.setWhole(n, value);
		else if (high) this.setWhole(n, local.and(~0xff00).or(this.typed(value.shl(8))));
		else this.setWhole(n, local.and(width === 8 ? ~0xff : ~0xffff).or(this.typed(value)));
	}

	/** Gives register `n` a value, which is cut or zero-extended to {@link type}. */
	setWhole(n: number, value: Ex): void {
		this.variable(n).set(value);
	}

	/** The value as an i32 or i64, whichever registers are. */
	typed(value: Ex): Ex {
		return this.type === "i64" ? value.extU() : value.wrap();
	}

	/** A number as a constant of {@link type}. */
	constant(value: number): Ex {
		return this.typed(i64(BigInt(value)));
	}

	/** Loads all of them from the state. */
	load(st: Ex): void {
		this.variables.forEach((variable, n) => {
			if (variable) this.f.set(variable.whole, st.load(this.type, GPRS + n * 8));
		});
		this.forget();
	}

	/** Writes the registers of a set back. */
	store(st: Ex, which: number): void {
		this.variables.forEach((variable, n) => {
			if (variable && (which >> n) & 1) this.f.store("i64", st, variable.whole.extU(), GPRS + n * 8);
		});
	}

	/** Code comes that may be reached from elsewhere. */
	forget(): void {
		for (const variable of this.variables) variable?.forget();
	}
}
