/** What firmware and operating systems are told about a PC. */
export interface PcDescription {
	/** RAM below 4 GiB, bytes. */
	readonly lowRam: number;
	/** RAM from 4 GiB on, bytes. */
	readonly highRam: number;
	readonly cpus: number;
	/** CPUID leaf 1: EAX and EDX. */
	readonly cpuSignature: number;
	readonly cpuFeatures: number;
	/** Where firmware has put the power management registers; asked whenever the ACPI tables are read. */
	readonly pmBase: () => number;
	readonly gpe0: { readonly base: number; readonly length: number };
	/** The SLP_TYP value of each sleep state that the machine has. */
	readonly sleepTypes: readonly (readonly [state: 3 | 4 | 5, type: number])[];
	readonly serialPorts: readonly SerialPortDescription[];
	/** What is behind the i8042. */
	readonly keyboard: boolean;
	readonly mouse: boolean;
	readonly hpet: boolean;
	/** The machine's version, for people. */
	readonly version: string;
	/** OpenFirmware paths of what to boot from, best first. */
	readonly bootOrder: readonly string[];
	/** How long firmware waits before it tries again when nothing boots, milliseconds; undefined: for ever. */
	readonly bootFailWaitMs: number | undefined;
}

export interface SerialPortDescription {
	/** 1 is COM1. */
	readonly number: number;
	readonly base: number;
	readonly irq: number;
}
