/** Register numbers: offset / 16 (SDM 3A table 11-1). */
export const ID = 0x02;
export const VERSION = 0x03;
export const TPR = 0x08;
export const APR = 0x09;
export const PPR = 0x0a;
export const EOI = 0x0b;
export const LDR = 0x0d;
export const DFR = 0x0e;
export const SVR = 0x0f;
export const ISR = 0x10;
export const TMR = 0x18;
export const IRR = 0x20;
export const ESR = 0x28;
export const ICR_LOW = 0x30;
export const ICR_HIGH = 0x31;
export const LVT = 0x32;
export const INITIAL_COUNT = 0x38;
export const CURRENT_COUNT = 0x39;
export const DIVIDE = 0x3e;
/** In x2APIC mode only. */
export const SELF_IPI = 0x3f;

/** Six LVT entries, integrated APIC, end-of-interrupt broadcasts can be suppressed. */
export const VERSION_VALUE = 0x0105_0014;

export const SVR_ENABLE = 1 << 8;
/** Level-triggered interrupts end without a broadcast to the I/O APICs. */
export const SVR_SUPPRESS_BROADCAST = 1 << 12;
export const SVR_WRITABLE = 0x13ff;
export const SVR_RESET = 0xff;

export const ICR_LOGICAL = 1 << 11;
export const ICR_ASSERT = 1 << 14;
export const ICR_LEVEL = 1 << 15;
export const ICR_WRITABLE = 0xccfff;
export const ICR_X2APIC_WRITABLE = 0xccfff;
/** Destination shorthands, ICR bits 19:18. */
export const TO_SELF = 1;
export const TO_ALL = 2;
export const TO_OTHERS = 3;

export const SEND_ILLEGAL_VECTOR = 1 << 5;
export const RECEIVE_ILLEGAL_VECTOR = 1 << 6;
export const ILLEGAL_REGISTER = 1 << 7;
/** Vectors 0..15 are reserved. */
export const FIRST_VECTOR = 16;

export const BASE_BOOTSTRAP = 1 << 8;
/** x2APIC mode. */
export const BASE_EXTENDED = 1 << 10;
export const BASE_ENABLE = 1 << 11;
/** The register page's bytes. */
export const PAGE_BYTES = 4096;
/** Where the registers are after reset. */
export const LAPIC_ADDRESS = 0xfee0_0000;

/** Whether writes to a register are dropped without being errors. */
export function isReadOnly(register: number): boolean {
	return (
		register === VERSION ||
		register === APR ||
		register === PPR ||
		(register >= ISR && register < ESR) ||
		register === CURRENT_COUNT
	);
}
