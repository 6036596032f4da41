import type { IrqLine } from "./device.ts";

/** Wired OR: the output is asserted while any input is. */
export class OrLine {
	private readonly output: IrqLine;
	private asserted = 0;

	constructor(output: IrqLine) {
		this.output = output;
	}

	/** A further input, low to begin with. */
	input(): IrqLine {
		let level = false;
		return {
			set: (asserted) => {
				if (asserted === level) return;
				level = asserted;
				this.asserted += asserted ? 1 : -1;
				this.output.set(this.asserted > 0);
			},
		};
	}
}

/** One line to several receivers, told in the order given. */
export function fanOut(...outputs: readonly IrqLine[]): IrqLine {
	return {
		set(asserted) {
			for (const output of outputs) output.set(asserted);
		},
	};
}
