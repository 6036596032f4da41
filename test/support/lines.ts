import type { IrqLine } from "../../src/bus/device.ts";

/** A line that remembers its level and counts rising edges. */
export class RecordedLine implements IrqLine {
	asserted = false;
	rises = 0;

	set(asserted: boolean): void {
		if (asserted && !this.asserted) this.rises++;
		this.asserted = asserted;
	}
}

/** A sink that keeps what it was given. */
export class RecordedBytes {
	readonly bytes: number[] = [];

	write(byte: number): void {
		this.bytes.push(byte);
	}

	get text(): string {
		return String.fromCharCode(...this.bytes);
	}
}
