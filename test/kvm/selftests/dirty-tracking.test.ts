import { describe, expect, test } from "vitest";
import { KVM_CAP } from "../../../src/kvm/index.ts";
import {
	COMMANDS,
	command,
	ENGINES,
	type Engine,
	EXIT_REASON,
	Guest,
	INCREMENT,
	LOAD,
	numbers,
	PAGE,
} from "./guest.ts";

const PAGES = 100;
const BASE = 0x40_0000;
const LOG = 1;

interface Mode {
	readonly name: string;
	readonly manual?: boolean;
	readonly ring?: boolean;
	readonly dirtyTracking?: "changedBits";
}

const MODES: readonly Mode[] = [
	{ name: "dirty-log" },
	{ name: "clear-log", manual: true },
	{ name: "dirty-ring", ring: true },
	{ name: "dirty-log by changed bits", dirtyTracking: "changedBits" },
	{ name: "clear-log by changed bits", manual: true, dirtyTracking: "changedBits" },
];

async function create(engine: Engine, { manual, ring, dirtyTracking }: Mode, code = COMMANDS): Promise<Guest> {
	return Guest.create(engine, {
		code,
		...(dirtyTracking ? { dirtyTracking } : {}),
		before: (vm) => {
			if (manual) expect(vm.enableCap({ cap: KVM_CAP.manualDirtyLogProtect2, args: [1n] })).toBe(0);
			if (ring) expect(vm.enableCap({ cap: KVM_CAP.dirtyLogRing, args: [65536n] })).toBe(0);
		},
	});
}

/** What the log says since the last time, in ascending order. */
function harvest(guest: Guest, { manual, ring }: Mode): number[] {
	if (ring) {
		const entries = guest.vcpu.dirtyRing!.harvest();
		expect(guest.vm.resetDirtyRings()).toBe(entries.length);
		expect(entries.every(({ slot }) => slot === 0)).toBe(true);
		return entries.map(({ offset }) => offset).sort((a, b) => a - b);
	}
	const pages = guest.dirty(0, PAGES);
	if (typeof pages !== "object") throw new Error(String(pages));
	if (manual) expect(guest.clear(0, PAGES, pages)).toBe(0);
	return pages;
}

describe.each(ENGINES)("dirty tracking on the %s", (engine) => {
	test.each(MODES)("$name: random accesses are reported page by page, interval by interval", async (mode) => {
		const guest = await create(engine, mode);
		const buffer = guest.vm.allocate(PAGES * PAGE);
		guest.slot(0, LOG, BASE, PAGES * PAGE, buffer);
		const next = numbers(7);
		for (let interval = 0; interval < 30; interval++) {
			const wanted = new Set<number>();
			for (let n = 0; n < 20; n++) {
				const at = next(PAGES * PAGE - 4);
				const what = [LOAD, INCREMENT, 0x1000 + next(1000)][next(3)]!;
				command(guest, BASE + at, what);
				if (what !== LOAD) for (const page of [at, at + 3]) wanted.add(Math.floor(page / PAGE));
			}
			// What user space itself stores does not count.
			buffer.view[next(PAGES * PAGE)] = 1;
			expect(harvest(guest, mode)).toEqual([...wanted].sort((a, b) => a - b));
		}
		expect(harvest(guest, mode)).toEqual([]);
	});

	test.each(MODES.filter(({ ring }) => !ring))("$name: LOG off and on again starts afresh", async (mode) => {
		const guest = await create(engine, mode);
		const buffer = guest.vm.allocate(PAGES * PAGE);
		guest.slot(0, 0, BASE, PAGES * PAGE, buffer);
		command(guest, BASE + 5 * PAGE, 0x55);
		guest.slot(0, LOG, BASE, PAGES * PAGE, buffer);
		expect(guest.dirty(0, PAGES)).toEqual([]);
		command(guest, BASE + 6 * PAGE, 0x55);
		guest.slot(0, LOG, 2 * BASE, PAGES * PAGE, buffer);
		expect(guest.dirty(0, PAGES)).toEqual([6]);
		guest.slot(0, 0, 2 * BASE, PAGES * PAGE, buffer);
		command(guest, 2 * BASE + 7 * PAGE, 0x55);
		guest.slot(0, LOG, 2 * BASE, PAGES * PAGE, buffer);
		expect(guest.dirty(0, PAGES)).toEqual([]);
		command(guest, 2 * BASE + 8 * PAGE, 0x55);
		expect(guest.dirty(0, PAGES)).toEqual([8]);
	});

	test.each(MODES)("$name: REP STOSD and compiled loops mark what they fill", async (mode) => {
		// mov edi,BASE; mov ecx,3000h; rep stosd; L: mov [edi],eax; add edi,40h; cmp edi,BASE+20000h; jb L; out 10h,al
		const code = [
			...[0xbf, 0, 0, 0x40, 0, 0xb9, 0, 0x30, 0, 0, 0xf3, 0xab],
			...[0x89, 0x07, 0x83, 0xc7, 0x40, 0x81, 0xff, 0, 0, 0x42, 0, 0x72, 0xf3, 0xe6, 0x10],
		];
		const guest = await create(engine, mode, code);
		guest.slot(0, LOG, BASE, PAGES * PAGE, guest.vm.allocate(PAGES * PAGE));
		expect(guest.run()).toBe(EXIT_REASON.io);
		expect(harvest(guest, mode)).toEqual(Array.from({ length: 32 }, (_, page) => page));
	});

	test("a ring that is full but for its reserve stops the vCPU until it is reset", async () => {
		const guest = await Guest.create(engine, {
			// L: mov [edi],eax; add edi,1000h; jmp L
			code: [0x89, 0x07, 0x81, 0xc7, 0, 0x10, 0, 0, 0xeb, 0xf6],
			regs: { rdi: BigInt(BASE) },
			before: (vm) => vm.enableCap({ cap: KVM_CAP.dirtyLogRingAcqRel, args: [4096n] }),
		});
		guest.slot(0, LOG, BASE, 2000 * PAGE, guest.vm.allocate(2000 * PAGE));
		const ring = guest.vcpu.dirtyRing!;
		const seen: number[] = [];
		for (let round = 0; round < 5; round++) {
			expect([guest.run(), guest.run()]).toEqual([EXIT_REASON.dirtyRingFull, EXIT_REASON.dirtyRingFull]);
			expect(guest.vcpu.memOp({ gaddr: BigInt(BASE), flags: 0, size: 1, op: 1, buf: new Uint8Array(1) })).toBe(0);
			const entries = ring.harvest();
			expect(entries.length).toBe(192 + (round === 0 ? 0 : 1));
			seen.push(...entries.map(({ offset }) => offset).filter((offset) => offset !== 0 || round === 0));
			expect(guest.vm.resetDirtyRings()).toBe(entries.length);
		}
		expect(seen).toEqual(Array.from({ length: seen.length }, (_, page) => page));
		expect(guest.vm.resetDirtyRings()).toBe(0);
		expect(guest.dirty(0, 2000)).toBe("ENXIO");
	});
});
