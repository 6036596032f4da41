import { assert } from "../../src/base/errors.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { type EngineName, type GuestOptions, TestGuest } from "../support/engine.ts";

export type Kind = "ram" | "rom" | "hole";

/** One MMIO exit. Data is that of a write, or the answer given to a read. */
export interface Fragment {
	readonly write: boolean;
	readonly gpa: number;
	readonly length: number;
	readonly data: bigint;
}

const PAGE = 4096;
const READONLY = 2;

/** Slots beside the megabyte of RAM at 0, so that each kind of memory ends where each other kind begins. */
const SLOTS = [
	{ slot: 1, start: 0x100000, pages: 2, flags: READONLY },
	{ slot: 2, start: 0x104000, pages: 2, flags: 0 },
	{ slot: 3, start: 0x108000, pages: 1, flags: READONLY },
	{ slot: 4, start: 0x109000, pages: 1, flags: 0 },
] as const;

/** Where memory of the first kind ends and memory of the second begins. */
export const BORDERS: readonly { readonly from: Kind; readonly to: Kind; readonly at: number }[] = [
	{ from: "ram", to: "ram", at: 0x21000 },
	{ from: "ram", to: "rom", at: 0x100000 },
	{ from: "ram", to: "hole", at: 0x106000 },
	{ from: "rom", to: "ram", at: 0x109000 },
	{ from: "rom", to: "rom", at: 0x101000 },
	{ from: "rom", to: "hole", at: 0x102000 },
	{ from: "hole", to: "ram", at: 0x104000 },
	{ from: "hole", to: "rom", at: 0x108000 },
	{ from: "hole", to: "hole", at: 0x103000 },
];

/** A device's answer: the byte at an address, different every time it is asked. */
function answerByte(gpa: number, count: number): number {
	return (Math.imul(gpa, 0x9e3779b1) ^ Math.imul(count + 1, 0x85ebca6b)) >>> 24;
}

/** A guest among RAM, ROM and nothing, with a model beside it that says which exits there must be. */
export class Patchwork {
	readonly guest: TestGuest;
	/** What happened. */
	readonly exits: Fragment[] = [];
	/** What the model says must happen. */
	readonly expected: Fragment[] = [];
	/** CS:IP at each exit. */
	readonly ips: number[] = [];
	private readonly slots: { readonly start: number; readonly bytes: Uint8Array; readonly readonly: boolean }[];
	private readonly model = new Map<number, number>();
	private asked = 0;
	private modelAsked = 0;

	static async create(engine: EngineName, options: GuestOptions): Promise<Patchwork> {
		return new Patchwork(await TestGuest.create(engine, options));
	}

	private constructor(guest: TestGuest) {
		this.guest = guest;
		this.slots = SLOTS.map(({ slot, start, pages, flags }) => {
			const { view, userspaceAddr } = guest.vm.allocate(pages * PAGE);
			const region = { slot, flags, guestPhysAddr: BigInt(start), memorySize: BigInt(pages * PAGE), userspaceAddr };
			const done = guest.vm.setUserMemoryRegion(region);
			assert(done === 0, `slot ${slot}`);
			view.forEach((_, n) => {
				view[n] = n * 7 + slot;
			});
			return { start, bytes: view, readonly: flags === READONLY };
		});
	}

	private find(gpa: number): { kind: Kind; bytes: Uint8Array; offset: number } {
		if (gpa < this.guest.ram.length) return { kind: "ram", bytes: this.guest.ram, offset: gpa };
		for (const { start, bytes, readonly } of this.slots) {
			if (gpa >= start && gpa < start + bytes.length)
				return { kind: readonly ? "rom" : "ram", bytes, offset: gpa - start };
		}
		return { kind: "hole", bytes: new Uint8Array(1), offset: 0 };
	}

	/** A byte as it is in memory now. */
	byte(gpa: number): number {
		const { bytes, offset } = this.find(gpa);
		return bytes[offset]!;
	}

	/** Bytes whose value in memory is not what the model says. */
	differences(): string[] {
		return [...this.model]
			.filter(([gpa, value]) => this.byte(gpa) !== value)
			.map(([gpa, value]) => `${gpa.toString(16)}: ${this.byte(gpa).toString(16)} instead of ${value.toString(16)}`);
	}

	/** Cuts an access at page ends, then into at most eight bytes. */
	private *parts(gpa: number, width: number): Generator<{ gpa: number; length: number; offset: number; kind: Kind }> {
		for (let offset = 0; offset < width; ) {
			const at = gpa + offset;
			const length = Math.min(8, width - offset, PAGE - (at & (PAGE - 1)));
			yield { gpa: at, length, offset, kind: this.find(at).kind };
			offset += length;
		}
	}

	/** The model loads. */
	load(gpa: number, width: number): bigint {
		let value = 0n;
		for (const part of this.parts(gpa, width)) {
			const bytes = Array.from({ length: part.length }, (_, n) => {
				if (part.kind === "hole") return answerByte(part.gpa + n, this.modelAsked);
				return this.model.get(part.gpa + n) ?? this.byte(part.gpa + n);
			});
			const data = little(bytes);
			if (part.kind === "hole") {
				this.expected.push({ write: false, gpa: part.gpa, length: part.length, data });
				this.modelAsked++;
			}
			value |= data << BigInt(part.offset * 8);
		}
		return value;
	}

	/** The model stores. */
	store(gpa: number, width: number, value: bigint): void {
		for (const part of this.parts(gpa, width)) {
			const data = BigInt.asUintN(part.length * 8, value >> BigInt(part.offset * 8));
			if (part.kind === "ram") {
				for (let n = 0; n < part.length; n++) this.model.set(part.gpa + n, Number((data >> BigInt(n * 8)) & 0xffn));
			} else this.expected.push({ write: true, gpa: part.gpa, length: part.length, data });
		}
	}

	/** Runs up to an exit that is no MMIO, answering reads. @returns its reason. */
	run(budget = 1_000_000): number {
		const { guest } = this;
		const { vcpu, processor } = guest;
		processor.setBudget(budget);
		for (;;) {
			const result = vcpu.run();
			assert(result === 0, `run: ${result}`);
			const { exit } = vcpu;
			if (exit.reason !== EXIT_REASON.mmio) return exit.reason;
			this.ips.push(guest.eip);
			if (!exit.isWrite) {
				for (let n = 0; n < exit.len; n++) exit.data[n] = answerByte(exit.physAddr + n, this.asked);
				this.asked++;
			}
			const data = little([...exit.data.subarray(0, exit.len)]);
			this.exits.push({ write: exit.isWrite, gpa: exit.physAddr, length: exit.len, data });
		}
	}
}

function little(bytes: readonly number[]): bigint {
	return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
