import { assert } from "../../base/errors.ts";
import { FLOAT_FUNCTIONS, type FloatFunction } from "../../isa/float.ts";
import type { Ex, Local } from "../../wasm/expression.ts";
import { call } from "../../wasm/function.ts";
import { commitFloatFlags, floatUnmasked } from "../core/float/exceptions.ts";
import { inexactKnown } from "../core/float/format.ts";
import { nativeFloat } from "../core/float/native.ts";
import { floatCallee } from "../core/float/packed.ts";
import { F } from "../layout.ts";
import { typeOf } from "../print-expr.ts";
import type { UnitFrame } from "./unit-frame.ts";

/** The SSE arithmetic of one instruction of a unit. */
export class UnitFloat {
	private readonly frame: UnitFrame;
	/** Not 0: a function of the core was called, which may have raised flags. */
	private readonly called: Local;

	constructor(frame: UnitFrame) {
		this.frame = frame;
		this.called = frame.f.local("i32", 0);
	}

	/** Native arithmetic where it is right; the core's function where it might not be. */
	operation(name: FloatFunction, args: readonly Ex[]): Ex {
		const { called, frame } = this;
		const { f, st } = frame;
		const values = args.map((arg) => (arg.constant === undefined ? f.let(arg) : arg));
		const result = f.local(typeOf(FLOAT_FUNCTIONS[name].result));
		f.block((done) => {
			const native = nativeFloat(name, values);
			const attempt = (): void => {
				assert(native, "native arithmetic");
				f.set(result, native.value);
				f.brIf(done, native.doubt(result).eqz());
			};
			if (native?.exact) attempt();
			else if (native) f.if(inexactKnown(F.mxcsr.of(st)), attempt);
			f.if(called.eqz(), () => {
				F.floatRaised.set(f, st, 0);
				f.set(called, 1);
			});
			f.set(result, call(frame.imports.get(floatCallee(name)), st, ...values));
		});
		return result;
	}

	/** Behind the last operation: leaves where an exception is unmasked, before anything but MXCSR has changed. */
	end(): void {
		const { f, st } = this.frame;
		f.if(this.called, () => {
			f.if(floatUnmasked(st), () => this.frame.leave());
			commitFloatFlags(f, st);
		});
	}
}
