import type { ByteSink } from "../../src/bus/device.ts";

/** Keeps every byte. */
export class RecordingSink implements ByteSink {
	readonly bytes: number[] = [];

	write(byte: number): void {
		this.bytes.push(byte);
	}

	/** The bytes as UTF-8 text. */
	get text(): string {
		return Buffer.from(this.bytes).toString("utf8");
	}
}
