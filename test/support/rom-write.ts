import type { RomWrite } from "../../src/debug/rom-write.ts";

/** A byte stored by `mov [bx], al` in real mode, to the ROM at the end of the first 4 GiB. */
export const ROM_WRITE: RomWrite = {
	gpa: 0xfffc0010,
	size: 1,
	data: Uint8Array.of(0x5a),
	old: Uint8Array.of(0xff),
	target: 0xfffc0010n,
	storeSize: 1,
	crossing: undefined,
	region: "bios",
	extent: { first: 0xfffc0000, last: 0xffffffff },
	command: undefined,
	by: { kind: "instruction" },
	faulted: false,
	cs: 0xf000,
	rip: 0x100n,
	linear: 0xf0100n,
	code: Uint8Array.of(0x88, 0x07, 0x90),
	mode: "real",
	cpl: 0,
	cpu: 0,
	stackPointer: 0x7000,
	instructions: 1234,
	timeNs: 5678,
};

/** A copy that lasts: machines use one object for all their stores. */
export function copyOf(write: RomWrite): RomWrite {
	const { data, old, code } = write;
	const { gpa, size, target, storeSize, crossing, region, extent, command, by, faulted } = write;
	const { cs, rip, linear, mode, cpl, cpu, stackPointer, instructions, timeNs } = write;
	return {
		...{ gpa, size, target, storeSize, crossing, region, extent, command, by, faulted },
		...{ cs, rip, linear, mode, cpl, cpu, stackPointer, instructions, timeNs },
		data: data && Uint8Array.from(data),
		old: Uint8Array.from(old),
		code: Uint8Array.from(code),
	};
}
