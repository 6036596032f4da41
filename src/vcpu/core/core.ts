import type { Callee } from "../../wasm/expression.ts";
import { ModuleBuilder } from "../../wasm/module.ts";

/** Functions that the host gives the core. */
export interface CoreImports {
	/**
	 * `(state, key)`: decodes the block at CS:RIP and enters it into the block table.
	 * @returns its address, or 0: a fault or exit is pending in the state.
	 */
	readonly translate: Callee;
	/** `(state, block)`: decodes anew what was written of a block. @returns whether the block may run. */
	readonly mend: Callee;
	/** Code was written: `(state, host offset, length)`. Blocks that hold those bytes are gone when it returns. */
	readonly codeWritten: Callee;
	/** A block is hot: `(state, block)`. */
	readonly compile: Callee;
	/** A compiled unit wants its pages confirmed: `(state, block)`. */
	readonly verify: Callee;
	/** Interrupt acknowledge cycle: `(state)` → vector. */
	readonly acknowledge: Callee;
	/**
	 * The in-kernel bus: `(state, is write, fragment)` → 1 where it answered the fragment (data in place).
	 * Called only for addresses without RAM.
	 */
	readonly bus: Callee;
	/**
	 * A single port access that the host takes care of at once: `(state, is write, port, bytes, value)` → value read.
	 * Asked only where F.portHost is not 0; otherwise a port access is an exit.
	 */
	readonly port: Callee;
	/** FERR# is asserted: `(state)`. Asked only where F.ferrHost is not 0. */
	readonly ferr: Callee;
	/** Model-specific register that is the host's: `(state, is write, number)` → 1 where known; value in F.scratch. */
	readonly msr: Callee;
	/** The guest wrote CR8: `(state, value)`. */
	readonly taskPriority: Callee;
	/** `(state, entry of F.tx)` → 1 where a store to this page of a readonly slot faults. Asked only where F.refuses is not 0. */
	readonly refuses: Callee;
	/** `(state, bit of TRACED, number, address, value)`: what happened. Called only where F.tracing has the bit. */
	readonly traced: Callee;
	/** `(state)`: a page-table entry in a readonly slot did not take a bit; F.lostGpa and so on. Told only where F.hearsLostBits is not 0. */
	readonly bitsLost: Callee;
}

/** The core module under construction, and the functions that its parts offer each other by name. */
export class Core {
	readonly m = new ModuleBuilder();
	readonly imports: CoreImports;
	private readonly functions = new Map<string, Callee>();

	constructor() {
		const { m } = this;
		this.imports = {
			translate: m.import("translate", ["i32", "i32"], ["i32"]),
			mend: m.import("mend", ["i32", "i32"], ["i32"]),
			codeWritten: m.import("codeWritten", ["i32", "i32", "i32"], []),
			compile: m.import("compile", ["i32", "i32"], []),
			verify: m.import("verify", ["i32", "i32"], []),
			acknowledge: m.import("acknowledge", ["i32"], ["i32"]),
			bus: m.import("bus", ["i32", "i32", "i32"], ["i32"]),
			port: m.import("port", ["i32", "i32", "i32", "i32", "i32"], ["i32"]),
			ferr: m.import("ferr", ["i32"], []),
			msr: m.import("msr", ["i32", "i32", "i32"], ["i32"]),
			taskPriority: m.import("taskPriority", ["i32", "i32"], []),
			refuses: m.import("refuses", ["i32", "i32"], ["i32"]),
			traced: m.import("traced", ["i32", "i32", "i32", "i64", "i64"], []),
			bitsLost: m.import("bitsLost", ["i32"], []),
		};
	}

	/** Defines a function of the core, callable by name from the parts defined after it. */
	define(...args: Parameters<ModuleBuilder["func"]>): Callee {
		const callee = this.m.func(...args);
		this.functions.set(callee.name, callee);
		return callee;
	}

	/** A function defined (or declared) before. */
	fn(name: string): Callee {
		const found = this.functions.get(name);
		if (!found) throw new Error(`the core has no function ${name} yet`);
		return found;
	}

	has(name: string): boolean {
		return this.functions.has(name);
	}
}
