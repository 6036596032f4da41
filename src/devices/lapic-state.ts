import { BROADCAST } from "./lapic-bus.ts";
import { BASE_BOOTSTRAP, BASE_ENABLE, BASE_EXTENDED, LAPIC_ADDRESS, SVR_RESET } from "./lapic-registers.ts";

/** Registers of a local APIC but those of its interrupts, its local vectors and its timer. */
export interface LapicRegisters {
	id: number;
	/** IA32_APIC_BASE. */
	base: number;
	tpr: number;
	ldr: number;
	dfr: number;
	svr: number;
	/** ESR as software reads it, and errors since it was last written. */
	esr: number;
	errors: number;
	icrLow: number;
	icrHigh: number;
}

/** As after reset (SDM 3A 11.4.7.1). */
export function lapicPowerOn(id: number, bootstrap: boolean): LapicRegisters {
	return {
		id,
		base: LAPIC_ADDRESS + BASE_ENABLE + (bootstrap ? BASE_BOOTSTRAP : 0),
		tpr: 0,
		ldr: 0,
		dfr: 0xffff_ffff,
		svr: SVR_RESET,
		esr: 0,
		errors: 0,
		icrLow: 0,
		icrHigh: 0,
	};
}

/** x2APIC mode. */
export function isExtended({ base }: LapicRegisters): boolean {
	return (base & BASE_EXTENDED) !== 0;
}

/** LDR: eight bits, in x2APIC mode 32 that follow from the ID (SDM 3A 11.12.10.2). */
export function logicalId(registers: LapicRegisters): number {
	const { id, ldr } = registers;
	return isExtended(registers) ? (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0 : ldr;
}

/** Whether a message to `destination`, physical or logical, is for this APIC (SDM 3A 11.6.2). */
export function isAddressed(registers: LapicRegisters, destination: number, logical: boolean): boolean {
	if (destination === BROADCAST) return true;
	if (!logical) return destination === registers.id;
	const ldr = logicalId(registers);
	if (isExtended(registers)) return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
	switch (registers.dfr >>> 28) {
		case 0xf:
			return (ldr & destination) !== 0;
		case 0x0:
			return (destination >> 4 === ldr >> 4 || destination >> 4 === 0xf) && (ldr & destination & 0x0f) !== 0;
		default:
			return false;
	}
}
