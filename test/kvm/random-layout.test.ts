import { expect, test } from "vitest";
import {
	COMMANDS,
	command,
	ENGINES,
	Guest,
	INCREMENT,
	KVM_MEM_READONLY,
	LOAD,
	numbers,
	PAGE,
	type Seen,
} from "./selftests/guest.ts";

const BASE = 0x40_0000;
const FRAMES = 12;
const LAYOUTS = 40;
const ACCESSES = 60;

/** Memory as bytes: what KVM's rules make of an access, without any slot, page table or TLB. */
class Bytes {
	readonly data = new Uint8Array(FRAMES * PAGE);
	/** Of each page: hole, ROM or RAM. */
	readonly kinds: readonly ("hole" | "rom" | "ram")[];

	constructor(kinds: Bytes["kinds"]) {
		this.kinds = kinds;
	}

	private kind(address: number): "hole" | "rom" | "ram" {
		return this.kinds[Math.floor((address - BASE) / PAGE)] ?? "hole";
	}

	/** The parts of four bytes at an address, cut at the page's end. */
	private parts(address: number): [first: number, length: number][] {
		const here = Math.min(4, PAGE - (address % PAGE));
		return here === 4
			? [[address, 4]]
			: [
					[address, here],
					[address + here, 4 - here],
				];
	}

	load(address: number, device: (gpa: number) => number): { seen: Seen[]; value: number } {
		const bytes = Uint8Array.from({ length: 4 }, (_, n) =>
			this.kind(address + n) === "hole" ? device(address + n) : this.data[address + n - BASE]!,
		);
		const seen = this.parts(address)
			.filter(([first]) => this.kind(first) === "hole")
			.map(([gpa, len]) => ({
				kind: "read" as const,
				gpa,
				len,
				data: Buffer.from(bytes.subarray(gpa - address, gpa - address + len)).toString("hex"),
			}));
		return { seen, value: new DataView(bytes.buffer).getUint32(0, true) };
	}

	store(address: number, value: number): Seen[] {
		const bytes = new Uint8Array(new Uint32Array([value]).buffer);
		const seen: Seen[] = [];
		for (const [gpa, len] of this.parts(address)) {
			const part = bytes.subarray(gpa - address, gpa - address + len);
			if (this.kind(gpa) === "ram") this.data.set(part, gpa - BASE);
			else seen.push({ kind: "write", gpa, len, data: Buffer.from(part).toString("hex") });
		}
		return seen;
	}
}

test.each(ENGINES)("random accesses over random layouts are those of a byte-level model, on the %s", async (engine) => {
	const next = numbers(20261121);
	const device = (gpa: number): number => (gpa * 13 + 5) & 255;
	const guest = await Guest.create(engine, { code: COMMANDS });
	const buffer = guest.vm.allocate(FRAMES * PAGE);
	for (let layout = 0; layout < LAYOUTS; layout++) {
		const kinds = Array.from({ length: FRAMES }, () => (["hole", "rom", "ram", "ram"] as const)[next(4)]!);
		const model = new Bytes(kinds);
		model.data.forEach((_, n) => {
			model.data[n] = (n * 7 + layout) & 255;
		});
		buffer.view.set(model.data);
		kinds.forEach((kind, page) => {
			if (kind === "hole") return;
			const flags = (kind === "rom" ? KVM_MEM_READONLY : 0) | next(2);
			expect(guest.slot(page, flags, BASE + page * PAGE, PAGE, buffer, page * PAGE)).toBe(0);
		});
		for (let n = 0; n < ACCESSES; n++) {
			// Mostly around the ends of pages.
			const address = BASE + next(FRAMES) * PAGE + (next(3) ? PAGE - 1 - next(4) : next(PAGE - 4));
			const what = [LOAD, INCREMENT, 0x1234_0000 + next(0xffff)][next(3)]!;
			const seen = command(guest, address, what, device);
			if (what === LOAD) {
				const { seen: reads, value } = model.load(address, device);
				expect(seen).toEqual([...reads, { kind: "loaded", value }]);
			} else if (what === INCREMENT) {
				const { seen: reads, value } = model.load(address, device);
				expect(seen).toEqual([...reads, ...model.store(address, (value + 1) >>> 0)]);
			} else expect(seen).toEqual(model.store(address, what));
		}
		expect(Buffer.from(buffer.view).equals(Buffer.from(model.data))).toBe(true);
		kinds.forEach((kind, page) => {
			if (kind !== "hole") expect(guest.slot(page, 0, 0, 0)).toBe(0);
		});
	}
});
