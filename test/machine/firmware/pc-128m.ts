import type { PcDescription } from "../../../src/machine/firmware/description.ts";

/** A PC with 128 MiB, as the tests of its firmware tables describe it. */
export const pc128M: PcDescription = {
	lowRam: 0x800_0000,
	highRam: 0,
	cpus: 1,
	cpuSignature: 0x663,
	cpuFeatures: 0x078b_fbff,
	pmBase: () => 0x600,
	gpe0: { base: 0xafe0, length: 4 },
	sleepTypes: [
		[4, 2],
		[5, 0],
	],
	serialPorts: [{ number: 1, base: 0x3f8, irq: 4 }],
	keyboard: true,
	mouse: true,
	hpet: false,
	version: "0.0.0",
	bootOrder: [],
	bootFailWaitMs: undefined,
};
