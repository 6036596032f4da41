import type { AccessSize } from "../bus/device.ts";
import type { MmioAccess } from "../bus/mmio-bus.ts";

/** I/O ports as the processor uses them; values are unsigned. */
export interface Ports {
	read(port: number, size: AccessSize): number;
	write(port: number, size: AccessSize, value: number): void;
	/** Many reads of one port at once; false where they have to be done one by one, or absent. */
	readMany?(port: number, size: AccessSize, into: Uint8Array): boolean;
}

/** Memory addresses that processors leave to others. */
export interface Mmio {
	dispatch(access: MmioAccess): void;
}

/** What the run loop needs of a board. */
export interface Board {
	readonly ports: Ports;
	readonly mmio: Mmio;
	/** Whether the guest has left word for its firmware that a reset of the processor is meant to come. */
	readonly expectsReset: boolean;
	/** Every device as after power-on; memory and time stay. */
	reset(): void;
}
