import type { AccessSize, Device } from "../../bus/device.ts";

export interface GpeState {
	readonly status: readonly number[];
	readonly enable: readonly number[];
}

/**
 * A general-purpose event block (ACPI 4.8.4.1): status bytes, written ones clear, then as many enable bytes.
 * Nothing in the machine raises a general-purpose event yet; {@link raise} is how a device would.
 */
export class GpeBlock implements Device<GpeState> {
	readonly name: string;
	readonly sizes: readonly AccessSize[] = [1];
	private readonly changed: () => void;
	private readonly status: Uint8Array;
	private readonly enable: Uint8Array;

	/** `length`: bytes of both halves together. */
	constructor(name: string, length: number, changed: () => void) {
		this.name = name;
		this.changed = changed;
		this.status = new Uint8Array(length / 2);
		this.enable = new Uint8Array(length / 2);
	}

	/** Is an enabled event pending? */
	get pending(): boolean {
		return this.status.some((byte, i) => (byte & this.enable[i]!) !== 0);
	}

	raise(event: number): void {
		this.status[event >> 3]! |= 1 << (event & 7);
		this.changed();
	}

	read(offset: number): number {
		const half = this.status.length;
		return (offset < half ? this.status[offset] : this.enable[offset - half]) ?? 0xff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		const half = this.status.length;
		if (offset < half) this.status[offset]! &= ~value;
		else if (offset < 2 * half) this.enable[offset - half] = value;
		this.changed();
	}

	reset(): void {
		this.status.fill(0);
		this.enable.fill(0);
		this.changed();
	}

	save(): GpeState {
		return { status: Array.from(this.status), enable: Array.from(this.enable) };
	}

	load(state: GpeState): void {
		this.status.set(state.status);
		this.enable.set(state.enable);
		this.changed();
	}
}
