import {
	CURRENT_COUNT,
	DIVIDE,
	EOI,
	ESR,
	ICR_LOW,
	ICR_X2APIC_WRITABLE,
	ID,
	INITIAL_COUNT,
	IRR,
	ISR,
	LDR,
	LVT,
	PPR,
	SELF_IPI,
	SVR,
	SVR_WRITABLE,
	TMR,
	TPR,
	VERSION,
} from "./lapic-registers.ts";

/** The register of number 0 is this model-specific register (SDM 3A 11.12.1.2). */
export const X2APIC_FIRST_MSR = 0x800;
export const X2APIC_LAST_MSR = 0x8ff;

/** Delivery status and remote IRR: a write may have them and does not change them. */
const LVT_STATUS = 0x5000;

/** Bits of each local vector table entry that a write may have: what software sets, and status. */
const LVT_ACCEPTED = [0x710ff, 0x117ff, 0x117ff, 0x1f7ff, 0x1f7ff, 0x110ff].map((bits) => bits | LVT_STATUS);

const WRITABLE = new Map<number, number>([
	[TPR, 0xff],
	[EOI, 0],
	[SVR, SVR_WRITABLE],
	[ESR, 0],
	[ICR_LOW, ICR_X2APIC_WRITABLE],
	...LVT_ACCEPTED.map((bits, n): [number, number] => [LVT + n, bits]),
	[INITIAL_COUNT, -1],
	[DIVIDE, 0xb],
	[SELF_IPI, 0xff],
]);

const WRITE_ONLY = [EOI, SELF_IPI];
const READ_ONLY = [ID, VERSION, PPR, LDR, CURRENT_COUNT];
const VECTOR_WORDS = 8;

/** Bits that WRMSR may set in a register's low half; undefined where the register is not for writing (SDM 3A table 11-6). */
export function writableInX2apic(register: number): number | undefined {
	return WRITABLE.get(register);
}

/** Whether RDMSR gives a register. */
export function isReadableInX2apic(register: number): boolean {
	if ([ISR, TMR, IRR].some((first) => register >= first && register < first + VECTOR_WORDS)) return true;
	return READ_ONLY.includes(register) || (WRITABLE.has(register) && !WRITE_ONLY.includes(register));
}
