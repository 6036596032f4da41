import { assert } from "../../src/base/errors.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ATTR, F, KEY } from "../../src/vcpu/layout.ts";
import type { TestGuest } from "./engine.ts";

const [GDT, IDT, TSS, HANDLERS, STACK0] = [0x5000, 0x5800, 0x6000, 0x7000, 0x7f00];
const HLT = 0xf4;

/** Selectors of {@link installFaultTable}'s GDT: flat segments of 4 GiB, or of 64-bit mode. */
export const SELECTOR = { code0: 8, data0: 0x10, code3: 0x1b, data3: 0x23, tss: 0x28 } as const;

function isLong({ processor }: TestGuest): boolean {
	return (processor.get(F.modeKey) & KEY.long) !== 0;
}

/**
 * Gives a guest in protected or 64-bit mode a GDT, a TSS with a stack for CPL 0 and an IDT whose handlers halt, so that
 * {@link faultOf} can tell what happened. Uses memory from 0x5000 to 0x7fff.
 * @param map bytes of the TSS's I/O permission map.
 */
export function installFaultTable(guest: TestGuest, map: readonly number[] = []): void {
	const { processor, ram } = guest;
	const long = isLong(guest);
	const words = new DataView(ram.buffer, ram.byteOffset);
	const describe = (selector: number, low: number, high: number): void => {
		words.setUint32(GDT + (selector & ~7), low, true);
		words.setUint32(GDT + (selector & ~7) + 4, high, true);
	};
	describe(SELECTOR.code0, 0x0000ffff, long ? 0x00af9b00 : 0x00cf9b00);
	describe(SELECTOR.data0, 0x0000ffff, 0x00cf9300);
	describe(SELECTOR.code3, 0x0000ffff, long ? 0x00affb00 : 0x00cffb00);
	describe(SELECTOR.data3, 0x0000ffff, 0x00cff300);
	const limit = 0x70 + map.length - 1;
	describe(SELECTOR.tss, (TSS << 16) | limit, 0x00008b00);
	words.setUint32(TSS + 4, STACK0, true);
	words.setUint32(TSS + 8, long ? 0 : SELECTOR.data0, true);
	words.setUint16(TSS + 102, 0x70, true);
	ram.set(map, TSS + 0x70);
	for (let vector = 0; vector < 32; vector++) {
		const gate = IDT + vector * (long ? 16 : 8);
		words.setUint32(gate, (SELECTOR.code0 << 16) | (HANDLERS + vector), true);
		words.setUint32(gate + 4, 0x8e00, true);
		ram[HANDLERS + vector] = HLT;
	}
	processor.set64(F.gdtBase, BigInt(GDT));
	processor.set64(F.gdtLimit, 0x37n);
	processor.set64(F.idtBase, BigInt(IDT));
	processor.set64(F.idtLimit, 32n * (long ? 16n : 8n) - 1n);
	processor.setSegment(7, SELECTOR.tss, BigInt(TSS), BigInt(limit), ATTR.present | 0xb);
	processor.refresh();
}

/** Continues at CPL 3 in flat segments or 64-bit mode, or in virtual-8086 mode with all segments at 0. */
export function enterUserMode(guest: TestGuest, mode: "flat" | "v86" = "flat"): void {
	const { processor } = guest;
	const v86 = mode === "v86";
	const long = isLong(guest);
	const [limit, size] = v86 ? [0xffffn, 0] : [0xffffffffn, ATTR.big | ATTR.granular];
	const data = ATTR.present | ATTR.s | (3 << ATTR.dplShift) | 3 | size;
	for (const n of [0, 2, 3, 4, 5]) processor.setSegment(n, v86 ? 0 : SELECTOR.data3, 0n, limit, data);
	const code = long ? (data & ~ATTR.big) | ATTR.code | ATTR.long : data | ATTR.code;
	processor.setSegment(1, v86 ? 0 : SELECTOR.code3, 0n, limit, v86 ? data : code);
	processor.set(F.cpl, 3);
	if (v86) processor.call("writeFlags", guest.eflags | 0x20000);
	processor.refresh();
}

/** Runs to a HLT. @returns the vector of the exception whose handler that is, -1 for any other HLT. */
export function faultOf(guest: TestGuest): number {
	const reason = guest.run();
	assert(reason === EXIT_REASON.hlt, `exit reason ${reason} at ${guest.eip.toString(16)} instead of HLT`);
	const vector = guest.eip - 1 - HANDLERS;
	return vector >= 0 && vector < 32 ? vector : -1;
}
