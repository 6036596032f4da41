import type { AccessSize, Device } from "../../bus/device.ts";

/** The advanced power management ports 0xB2 (control, APMC) and 0xB3 (status, APMS) as offsets 0 and 1. */
export interface ApmState {
	readonly control: number;
	readonly status: number;
}

/**
 * On hardware a write to APMC raises a system management interrupt. Without that mode both are plain storage, and
 * nothing is needed to enter ACPI mode (82371AB 7.1, 11.3.3).
 */
export class ApmPorts implements Device<ApmState> {
	readonly name = "apm";
	readonly sizes: readonly AccessSize[] = [1];
	private control = 0;
	private status = 0;

	read(offset: number): number {
		return offset === 0 ? this.control : this.status;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset === 0) this.control = value & 0xff;
		else this.status = value & 0xff;
	}

	reset(): void {
		this.control = 0;
		this.status = 0;
	}

	save(): ApmState {
		return { control: this.control, status: this.status };
	}

	load(state: ApmState): void {
		this.control = state.control;
		this.status = state.status;
	}
}
