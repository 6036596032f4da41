import type { AccessSize, ByteSink, Device } from "../bus/device.ts";

/** What a read gives: firmware looks for it before it writes (SeaBIOS at 0x402, Bochs' port 0xE9). */
const PRESENT = 0xe9;

/** The one-byte debug console of Bochs and QEMU: each written byte goes to the sink. Port 0x402 or 0xE9. */
export class DebugCon implements Device<Record<string, never>> {
	readonly name = "debugcon";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly sink: ByteSink;

	constructor(sink: ByteSink) {
		this.sink = sink;
	}

	read(offset: number): number {
		return offset === 0 ? PRESENT : 0xff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset === 0) this.sink.write(value & 0xff);
	}

	reset(): void {}

	save(): Record<string, never> {
		return {};
	}

	load(): void {}
}
