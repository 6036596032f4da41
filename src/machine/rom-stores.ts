import { assert } from "../base/errors.ts";
import type { MemoryRange, RomStore } from "../bus/mmio-bus.ts";
import type { BreakWish, MachineConfig } from "../config/index.ts";
import type { CodeMode, RomWrite, RomWriter } from "../debug/rom-write.ts";
import { RSP, SEGMENT } from "../isa/registers.ts";
import { F, Field, GPRS, SEG, STORE, segmentOffset } from "../vcpu/layout.ts";
import type { Processor } from "../vcpu/processor.ts";
import type { LostBits } from "../vcpu/processor-host.ts";
import { codeMode, modeOf } from "./code-mode.ts";
import type { GuestClock } from "./guest-clock.ts";
import type { FlashEvent, FlashSink, MachineHost } from "./outcome.ts";
import type { Requests } from "./requests.ts";

/** Longest instruction. */
const CODE_BYTES = 15;
/** Most bytes that one store can have. */
const MOST_BYTES = 64;
const NO_BYTES: Uint8Array = new Uint8Array(0);
const PAGE = 4096;
/** A PAM segment is as large, or several of them. */
const PAM_SHIFT = 14;

/** What the board knows of ROM. */
export interface RomMap {
	/** Memory that the guest may not write, at this moment; flash is none. */
	rom(gpa: number): MemoryRange | undefined;
	/** What people call the memory at an address. */
	romName(gpa: number): string;
	/** Where a flash unit lies. */
	flashAt(unit: number): { readonly first: number; readonly size: number };
}

const STACK_POINTER = new Field(GPRS + RSP * 8, 8);

/** The store in hand: one object, whose getters look into the processor when somebody asks. */
class Store implements RomWrite {
	gpa = 0;
	size = 0;
	data: Uint8Array | undefined;
	old: Uint8Array = NO_BYTES;
	target: bigint | undefined;
	storeSize = 0;
	crossing: { readonly offset: number; readonly gpa: number } | undefined;
	region = "";
	extent: { readonly first: number; readonly last: number } | undefined;
	command: string | undefined;
	by: RomWriter = INSTRUCTION;
	faulted = false;
	mode: CodeMode = "real";
	cpl = 0;
	readonly cpu = 0;
	cs = 0;
	rip = 0n;
	linear = 0n;
	instructions = 0;
	private readonly processor: Processor;
	private readonly clock: GuestClock;

	constructor(processor: Processor, clock: GuestClock) {
		this.processor = processor;
		this.clock = clock;
	}

	get code(): Uint8Array {
		return this.processor.peekCode(this.linear, CODE_BYTES);
	}

	get stackPointer(): number {
		return this.processor.get(STACK_POINTER) >>> 0;
	}

	get timeNs(): number {
		return this.clock.now();
	}
}

const INSTRUCTION = { kind: "instruction" } as const;
/** No instruction's place. */
const NOWHERE = { low: -1, high: -1, ip: -1, mode: -1, cs: -1 };
const DESCRIPTOR = { kind: "descriptor" } as const;
const PAGE_WALK = { kind: "page-walk" } as const;

/** Finds out who stores to ROM, tells the host, and ends or pauses the run where that is wanted. */
export class RomStores {
	private readonly config: MachineConfig;
	private readonly processor: Processor;
	private readonly host: Pick<MachineHost, "romWrites">;
	private readonly requests: Requests | undefined;
	private readonly map: () => RomMap;
	private readonly store: Store;
	/** The last store with several pieces: its first byte's linear address, offset of its first piece in ROM, and how many instructions had retired. */
	private whole: { readonly start: bigint; readonly offset: number; readonly retired: number } | undefined;
	/** Where the store in hand got what {@link fromExit} sets. */
	private place = NOWHERE;
	/** What the store in hand's `old` is a view of; undefined where it is something else. */
	private viewed: MemoryRange | undefined;
	private lastRom: MemoryRange | undefined;
	private lastPart = 0;
	private lastRegion = "";

	/** `map`: the board's, once there is one. */
	constructor(
		parts: { readonly config: MachineConfig; readonly processor: Processor; readonly clock: GuestClock } & {
			readonly host: Pick<MachineHost, "romWrites">;
			/** Absent: nothing here ends a run. */
			readonly requests: Requests | undefined;
			readonly map: () => RomMap;
		},
	) {
		const { config, processor, clock } = parts;
		this.config = config;
		this.processor = processor;
		this.host = parts.host;
		this.requests = parts.requests;
		this.map = parts.map;
		this.store = new Store(processor, clock);
		processor.refuseStores(config.romWrites === "fault");
		processor.hearLostBits(config.romWrites !== "off" || config.breaks.length > 0);
	}

	/** Whether a store to `gpa` is to fault. */
	readonly refuses = (gpa: number): boolean => this.map().rom(gpa) !== undefined;

	/** The processor has left with a store, or one more piece of it, of which ROM refused `data`. */
	readonly refused: RomStore = (gpa, data, rom) => {
		const { processor, store } = this;
		const part = processor.get(F.exitPart);
		const ahead = gpa - processor.getNumber(F.exitAddress);
		const offset = (part & 0xffff) + ahead;
		const target = processor.get64(F.exitTarget) + BigInt(ahead);
		const instructions = this.before();
		if (store.gpa !== gpa || this.viewed !== rom || store.old.length !== data.length) {
			this.viewed = rom;
			store.old = rom.bytes.subarray(gpa - rom.first, gpa - rom.first + data.length);
		}
		store.gpa = gpa;
		store.size = data.length;
		store.data = data;
		store.target = target;
		store.storeSize = part >>> 16;
		store.crossing = undefined;
		if (store.storeSize !== data.length) {
			const start = target - BigInt(offset);
			const { whole } = this;
			if (whole?.retired === instructions && whole.start === start && offset > whole.offset) return;
			this.whole = { start, offset, retired: instructions };
			this.join();
		}
		this.fromExit();
		store.instructions = instructions;
		store.region = this.regionAt(gpa, rom);
		store.extent = rom;
		store.faulted = false;
		store.command = undefined;
		this.record();
	};

	/** The processor has left because a store faults, and has not yet delivered that. */
	faulted(): void {
		const { processor, store } = this;
		const part = processor.get(F.exitPart);
		const offset = part & 0xffff;
		const known = part >>> 16;
		const pages = processor.pagesInHand();
		const refused = pages.slice(pages.findIndex(({ linear }) => linear === processor.get64(F.exitTarget)));
		const [first] = refused;
		assert(first !== undefined, "a page that refused");
		store.gpa = first.gpa;
		store.target = first.linear;
		store.crossing = undefined;
		const old: Uint8Array[] = [];
		store.size = 0;
		for (const { gpa, length } of refused) {
			const rom = this.map().rom(gpa);
			if (rom === undefined) break;
			if (store.size > 0) store.crossing = { offset: store.size, gpa };
			old.push(rom.bytes.subarray(gpa - rom.first, gpa - rom.first + length));
			store.size += length;
		}
		store.old = Buffer.concat(old);
		this.viewed = undefined;
		store.storeSize = pages.reduce((sum, { length }) => sum + length, 0);
		store.data = known === 0 ? undefined : processor.stateBytes(F.data, MOST_BYTES).slice(offset, offset + store.size);
		this.fromExit();
		this.atRip();
		store.instructions = processor.retired();
		store.region = this.map().romName(store.gpa);
		store.extent = this.map().rom(store.gpa);
		store.faulted = true;
		store.command = undefined;
		this.record();
	}

	/** A page walk could not set bits. */
	readonly bitsLost = ({ gpa, entry, bytes, ip, linear }: LostBits): void => {
		const { processor, store } = this;
		const rom = this.map().rom(gpa);
		// Tables in flash: its array is no range of memory.
		const old = rom?.bytes.subarray(gpa - rom.first, gpa - rom.first + bytes) ?? NO_BYTES;
		store.gpa = gpa;
		store.size = bytes;
		store.data = littleEndian(entry, bytes);
		store.old = old;
		this.viewed = undefined;
		store.target = undefined;
		store.storeSize = bytes;
		store.crossing = undefined;
		this.fromState();
		store.rip = ip;
		store.linear = linear;
		store.by = PAGE_WALK;
		store.instructions = processor.retired();
		store.region = this.map().romName(gpa);
		store.extent = this.map().rom(gpa);
		store.faulted = false;
		store.command = undefined;
		this.host.romWrites.record(store);
	};

	/** A device wanted to store where a readonly slot is. */
	dma(device: string, gpa: number, data: Uint8Array, old: Uint8Array): void {
		const { processor, store } = this;
		store.gpa = gpa;
		store.size = data.length;
		store.data = data;
		store.old = old;
		this.viewed = undefined;
		store.target = undefined;
		store.storeSize = data.length;
		store.crossing = undefined;
		this.fromState();
		store.by = { kind: "dma", device };
		store.instructions = processor.retired();
		store.region = this.map().romName(gpa);
		store.extent = this.map().rom(gpa);
		store.faulted = false;
		store.command = undefined;
		this.record();
	}

	/** Takes what flash units are told, and hands it on to `next`. */
	flashSink(next: FlashSink | undefined): FlashSink {
		return {
			record: (unit, event) => {
				next?.record(unit, event);
				if (event.kind !== "romd") this.flash(unit, event);
			},
		};
	}

	/** A flash has decoded a command, whose last cycle the processor has just left with. */
	private flash(unit: number, event: Exclude<FlashEvent, { kind: "romd" }>): void {
		const { processor, store } = this;
		const cycle = processor.exitBytes();
		const flash = this.map().flashAt(unit);
		store.gpa = flash.first + event.offset;
		const programs = event.kind === "program" || event.kind === "program-buffer";
		store.data = programs ? event.bytes : cycle;
		store.size = programs ? event.bytes.length : "length" in event ? event.length : cycle.length;
		store.old = programs ? event.before : NO_BYTES;
		this.viewed = undefined;
		store.target = processor.get64(F.exitTarget);
		store.storeSize = store.size;
		store.crossing = undefined;
		this.fromExit();
		store.instructions = this.before();
		store.region = `flash ${unit}`;
		store.extent = { first: flash.first, last: flash.first + flash.size - 1 };
		store.faulted = false;
		store.command = commandText(event);
		this.host.romWrites.record(store);
	}

	private record(): void {
		const { store, config, requests } = this;
		const { gpa, size, target } = store;
		this.host.romWrites.record(store);
		const wanted = config.breaks.some((wish) => overlaps(store, wish));
		if (requests === undefined || (!wanted && config.romWrites !== "stop")) return;
		const refused = { gpa, size, ...(target === undefined ? {} : { linear: target }) };
		requests.pause(wanted ? { kind: "break", on: "rom-write", store: refused } : { kind: "rom-write", store: refused });
	}

	/** Instructions that retired before the one whose store the processor has left with: that one counts already, but for the end of a REP. */
	private before(): number {
		const { processor } = this;
		const owed = processor.get(F.repOwed) !== 0 && processor.get64(F.rip) === processor.get64(F.exitIp);
		return processor.retired() - (owed ? 0 : 1);
	}

	/** Who the exit in hand is by. A loop's stores come from one place: what has not changed is not read again. */
	private fromExit(): void {
		const { processor, store, place } = this;
		const mode = processor.get(F.exitMode);
		const cs = processor.get(F.exitCs);
		const low = processor.get(F.exitLinear);
		const high = processor.get(F.exitLinear, 4);
		const ip = processor.get(F.exitIp);
		const same = place.low === low && place.high === high && place.ip === ip && place.cs === cs;
		if (!same || place.mode !== mode) {
			this.place = { low, high, ip, mode, cs };
			store.mode = modeOf(mode);
			store.cpl = (mode >>> STORE.cplShift) & 3;
			store.cs = cs;
			store.rip = processor.get64(F.exitIp);
			store.linear = processor.get64(F.exitLinear);
		}
		if (mode & STORE.delivery) store.by = { kind: "delivery", vector: mode >>> STORE.vectorShift };
		else store.by = mode & STORE.descriptor ? DESCRIPTOR : INSTRUCTION;
	}

	/** The processor as it is. */
	private fromState(): void {
		const { processor, store } = this;
		this.place = NOWHERE;
		store.mode = codeMode(processor);
		store.cpl = processor.get(F.cpl);
		this.atRip();
	}

	private atRip(): void {
		const { processor, store } = this;
		this.place = NOWHERE;
		const cs = segmentOffset(SEGMENT.cs);
		store.cs = processor.get(SEG.selector, cs);
		store.rip = processor.get64(F.rip);
		store.linear = (processor.get64(SEG.start, cs) + store.rip) & processor.get64(F.linearMask);
	}

	/** Adds to the store in hand what of it still waits in pieces of its own. */
	private join(): void {
		const { processor, store } = this;
		const count = processor.get(F.writeCount);
		const pieces: Uint8Array[] = [store.data!];
		const olds: Uint8Array[] = [store.old];
		let end = store.target! + BigInt(store.size);
		let next = store.gpa + store.size;
		for (let n = processor.get(F.writePosition); n < count; n++) {
			const piece = processor.storePiece(n);
			const rom = this.map().rom(piece.gpa);
			if (rom === undefined || piece.linear !== end || piece.storeSize !== store.storeSize) break;
			if (piece.gpa !== next || piece.gpa % PAGE === 0) {
				const offset = Number(end - store.target!);
				store.crossing = { offset, gpa: piece.gpa };
			}
			pieces.push(piece.data);
			olds.push(rom.bytes.subarray(piece.gpa - rom.first, piece.gpa - rom.first + piece.data.length));
			end += BigInt(piece.data.length);
			next = piece.gpa + piece.data.length;
		}
		if (pieces.length === 1) return;
		store.data = Buffer.concat(pieces);
		store.old = Buffer.concat(olds);
		this.viewed = undefined;
		store.size = store.data.length;
	}

	/** What people call the place; looked up anew where the last store was elsewhere. */
	private regionAt(gpa: number, rom: MemoryRange): string {
		const part = gpa >>> PAM_SHIFT;
		if (this.lastRom !== rom || this.lastPart !== part) {
			this.lastRom = rom;
			this.lastPart = part;
			this.lastRegion = this.map().romName(gpa);
		}
		return this.lastRegion;
	}
}

function overlaps({ gpa, size, crossing }: RomWrite, { first, last }: BreakWish): boolean {
	const here = crossing?.offset ?? size;
	if (gpa <= last && gpa + here > first) return true;
	return crossing !== undefined && crossing.gpa <= last && crossing.gpa + size - here > first;
}

function littleEndian(value: bigint, bytes: number): Uint8Array {
	return Uint8Array.from({ length: bytes }, (_, n) => Number((value >> BigInt(n * 8)) & 0xffn));
}

function commandText(event: Exclude<FlashEvent, { kind: "romd" }>): string {
	if (event.kind === "error") return `refused: ${event.reason}`;
	return event.kind === "lock" ? event.action : event.kind;
}
