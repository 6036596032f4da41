import type { ByteWriter } from "../../wasm/bytes.ts";
import { Ex, type Local } from "../../wasm/expression.ts";
import type { FunctionBuilder } from "../../wasm/function.ts";

/**
 * A register or flag value of a unit, of 32 or 64 bits. Of 64 bits, its lower half is kept apart as long as straight-line code has
 * just set it: V8 would spend an instruction each time that the whole is cut.
 */
export class UnitVariable {
	readonly whole: Local;
	private readonly f: FunctionBuilder;
	private readonly half: Local | undefined;
	private halfKnown = false;
	/** How deep in branches the code is that runs through in one go. */
	private straight = 0;

	constructor(f: FunctionBuilder, type: "i32" | "i64") {
		this.f = f;
		this.whole = f.local(type);
		this.half = type === "i64" ? f.local("i32") : undefined;
	}

	/** Its value where this is asked for. */
	get value(): Ex {
		return this.half && this.halfKnown ? new Halved(this.whole, this.half) : this.whole;
	}

	/** Gives it a value, which is cut or zero-extended to its type. */
	set(value: Ex): void {
		const { f, half } = this;
		const low = half && (value.type === "i32" ? value : value.zeroExtended);
		this.halfKnown = low !== undefined && f.nesting === this.straight;
		if (half && low && this.halfKnown) {
			f.set(half, low);
			f.set(this.whole, half.extU());
		} else f.set(this.whole, half ? value.extU() : value.wrap());
	}

	/** Code comes that may be reached from elsewhere, or something else has set it. */
	forget(): void {
		this.halfKnown = false;
		this.straight = this.f.nesting;
	}
}

/** A local of 64 bits whose lower half is in another one, too. */
class Halved extends Ex {
	readonly type = "i64";
	private readonly whole: Local;
	private readonly low: Local;

	constructor(whole: Local, low: Local) {
		super();
		this.whole = whole;
		this.low = low;
	}

	override get half(): Ex {
		return this.low;
	}

	emit(out: ByteWriter): void {
		this.whole.emit(out);
	}
}
