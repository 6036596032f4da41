import { assert } from "../../src/base/errors.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ERROR_CODE_VECTORS } from "../../src/vcpu/core/fault.ts";
import { ATTR, BLOCK, F, KEY, SEG, segmentOffset } from "../../src/vcpu/layout.ts";
import type { Processor } from "../../src/vcpu/processor.ts";
import { type EngineName, TestGuest } from "../support/engine.ts";
import { layout, type MemoryRun, type VectorFault, type VectorState } from "../vectors/read.ts";
import type { ReplaySubject } from "../vectors/replay.ts";

/** Physical addresses of what the cases do not see. */
const PHYSICAL = { gdt: 0x20000, tss: 0x21000, idt: 0x22000, handlers: 0x23000, stack: 0x25000, tables: 0x26000 };
/** Code pages of single cases. */
const FIRST_CODE = 0x40000;
const PAGE = 4096;
/** Supervisor pages stand this far up; no case addresses them. */
const SYSTEM = 0x9e800000;

const PRESENT = 1n;
const WRITE = 2n;
const USER = 4n;
const NO_EXECUTE = 1n << 63n;

const HLT = 0xf4;
const INT3 = 0xcc;
/** Bytes of a handler: only its place matters. */
const HANDLER_SIZE = 16;
const HANDLER_SHIFT = 4;
const FLAT = ATTR.present | ATTR.s | ATTR.big | ATTR.granular;
const USER_CODE = FLAT | 0xb | (3 << ATTR.dplShift);
const USER_DATA = FLAT | 3 | (3 << ATTR.dplShift);
const ESP = 4;
const PAGE_FAULT = 14;

/** How the end of an instruction is noticed. */
export type Ending =
	/** The budget: one instruction, or one iteration of a REP. */
	| "budget"
	/** The INT3 that fills the code page behind it: what follows may run in one go with it. */
	| "trap";

/** The machine of the instruction vectors (test/vectors/FORMAT.md), with PAE paging, on one of the engines. */
export class VectorMachine implements ReplaySubject {
	readonly processor: Processor;
	ending: Ending = "budget";
	/** Times that each case runs before the run that counts, in a code page of its own: so that it gets compiled. */
	rehearsals = 0;
	private readonly guest: TestGuest;
	private readonly code: { next: number; current: number };
	private startData = new Uint8Array(0);
	private readonly view: DataView;
	private before: VectorState | undefined;
	/** Segment registers are not as at the start of a case. */
	private dirty = true;
	private after: VectorState | undefined;

	/** `pages`: how many cases may have code pages of their own. */
	static async create(engine: EngineName, pages = 0): Promise<VectorMachine> {
		return new VectorMachine(await TestGuest.create(engine, { ram: FIRST_CODE + pages * PAGE }));
	}

	private constructor(guest: TestGuest) {
		this.guest = guest;
		this.code = { next: FIRST_CODE, current: layout.code.start };
		guest.ram.fill(INT3, FIRST_CODE);
		this.processor = guest.processor;
		this.view = new DataView(guest.ram.buffer, guest.ram.byteOffset, guest.ram.length);
		this.setPages();
		this.setTables();
		const { processor } = guest;
		// PE, NE, WP, AM, PG; PAE; NXE.
		processor.set64(F.cr0, 0x80050031n);
		processor.set64(F.cr4, 0x20n);
		processor.set64(F.efer, 0x800n);
		processor.set64(F.pdpte, BigInt(PHYSICAL.tables) | PRESENT);
		processor.set64(F.pdpte, BigInt(PHYSICAL.tables + 0x2000) | PRESENT, (SYSTEM >>> 30) * 8);
		processor.set64(F.gdtBase, BigInt(SYSTEM + PHYSICAL.gdt));
		processor.set64(F.gdtLimit, 0x3fn);
		processor.set64(F.idtBase, BigInt(SYSTEM + PHYSICAL.idt));
		processor.set64(F.idtLimit, 0x7ffn);
		processor.setSegment(6, 0, 0n, 0n, ATTR.unusable);
		processor.setSegment(7, 0x30, BigInt(SYSTEM + PHYSICAL.tss), 0x67n, ATTR.present | 0xb);
	}

	private setPages(): void {
		const { view } = this;
		const { tables } = PHYSICAL;
		const entry = (at: number, value: bigint): void => view.setBigUint64(at, value | PRESENT, true);
		entry(tables, BigInt(tables + 0x1000) | WRITE | USER);
		for (let page = layout.data.start; page < layout.data.end; page += 4096)
			entry(tables + 0x1000 + page / 512, BigInt(page) | WRITE | USER | NO_EXECUTE);
		entry(tables + 0x1000 + layout.readonly.start / 512, BigInt(layout.readonly.start) | USER | NO_EXECUTE);
		entry(tables + 0x1000 + layout.code.start / 512, BigInt(layout.code.start) | USER);
		entry(tables + 0x2000 + ((SYSTEM >>> 21) & 511) * 8, BigInt(tables + 0x3000) | WRITE);
		for (let page = PHYSICAL.gdt; page < PHYSICAL.tables; page += 4096)
			entry(tables + 0x3000 + page / 512, BigInt(page) | WRITE);
	}

	private setTables(): void {
		const { view } = this;
		const descriptor = (index: number, low: number, high: number): void => {
			view.setUint32(PHYSICAL.gdt + index * 8, low, true);
			view.setUint32(PHYSICAL.gdt + index * 8 + 4, high, true);
		};
		descriptor(1, 0xffff, 0xcf9b00);
		descriptor(2, 0xffff, 0xcf9300);
		descriptor(4, 0xffff, 0xcffb00);
		descriptor(5, 0xffff, 0xcff300);
		for (let vector = 0; vector < 256; vector++) {
			const handler = SYSTEM + PHYSICAL.handlers + vector * HANDLER_SIZE;
			const dpl = vector === 3 || vector === 4 ? 3 : 0;
			view.setUint32(PHYSICAL.idt + vector * 8, (handler & 0xffff) | (8 << 16), true);
			view.setUint32(PHYSICAL.idt + vector * 8 + 4, (handler & 0xffff0000) | 0x8e00 | (dpl << 13), true);
			view.setUint8(PHYSICAL.handlers + vector * HANDLER_SIZE, HLT);
		}
		view.setUint32(PHYSICAL.tss + 4, SYSTEM + PHYSICAL.stack + 0x1000, true);
		view.setUint32(PHYSICAL.tss + 8, 0x10, true);
		view.setUint16(PHYSICAL.tss + 102, 0xffff, true);
	}

	load(state: VectorState, memory: readonly MemoryRun[]): void {
		const { guest } = this;
		if (this.rehearsals > 0) this.turnPage();
		for (const { address, bytes } of memory) {
			const isCode = address >= layout.code.start && address < layout.code.end;
			const at = isCode ? address - layout.code.start + this.code.current : address;
			guest.ram.set(bytes, at);
			guest.vm.written(guest.ram.byteOffset + at, bytes.length);
		}
		if (this.rehearsals > 0) this.startData = this.data().slice();
		this.restart(state);
	}

	/** Puts a fresh page where the code is: code that changes too often is never compiled. */
	private turnPage(): void {
		const { code } = this;
		code.current = code.next;
		code.next += PAGE;
		assert(code.next <= this.guest.ram.length, "a code page for each case");
		const entry = PHYSICAL.tables + 0x1000 + layout.code.start / 512;
		this.view.setBigUint64(entry, BigInt(code.current) | USER | PRESENT, true);
		this.processor.call("flushPage", BigInt(layout.code.start));
	}

	/** Takes over registers only: memory stays. */
	private restart(state: VectorState): void {
		const { processor } = this;
		this.before = state;
		this.after = undefined;
		for (let n = 0; n < 8; n++) this.guest.setRegister(REGISTERS[n]!, state.registers[n]!);
		processor.set(F.rip, state.eip);
		processor.set(F.rip, 0, 4);
		processor.call("writeFlags", state.eflags);
		processor.set(F.shadow, 0);
		if (!this.dirty) return;
		processor.setSegment(1, layout.codeSelector, 0n, 0xffffffffn, USER_CODE);
		for (const n of [0, 2, 3, 5]) processor.setSegment(n, layout.dataSelector, 0n, 0xffffffffn, USER_DATA);
		processor.setSegment(4, 0, 0n, 0n, ATTR.unusable);
		processor.set(F.cpl, 3);
		processor.call("updateSegments");
		processor.call("updateMode");
		this.dirty = false;
	}

	step(): VectorFault | undefined {
		const { before } = this;
		assert(before, "a case is loaded");
		for (let n = 0; n < this.rehearsals; n++) {
			this.stepOnce(before);
			this.data().set(this.startData);
			this.restart(before);
		}
		return this.stepOnce(before);
	}

	/** Whether the instruction of the case in hand has been compiled. */
	get compiled(): boolean {
		const { processor, before } = this;
		const at = (before?.eip ?? 0) - layout.code.start + this.code.current;
		const { words } = processor.code;
		// Blocks of the mode at CPL 3, whatever it is now.
		const block = processor.code.find(this.guest.ram.byteOffset + at, KEY.code32 | KEY.stack32 | KEY.flat | KEY.user);
		return block !== 0 && words[(block + BLOCK.unit.offset) >> 2] !== 0;
	}

	private stepOnce(before: VectorState): VectorFault | undefined {
		const { guest, processor } = this;
		const start = before.eip;
		if (this.ending === "trap") {
			const reason = guest.run(100_000);
			assert(reason === EXIT_REASON.hlt, `exit ${reason}`);
		} else {
			do {
				const reason = guest.run(1);
				if (reason !== EXIT_REASON.budget) break;
			} while (processor.get(F.cpl) === 3 && guest.eip === start && this.repeats(start));
		}
		return this.finish(start);
	}

	/** Whether the instruction at `address` is a string instruction that may have iterations left. */
	private repeats(address: number): boolean {
		const { ram } = this.guest;
		let repeat = false;
		for (let at = address - layout.code.start + this.code.current; ; at++) {
			const byte = ram[at]!;
			if (byte === 0xf2 || byte === 0xf3) repeat = true;
			else if (![0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67].includes(byte))
				return (
					repeat && [0x6c, 0x6d, 0x6e, 0x6f, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf].includes(byte)
				);
		}
	}

	private finish(start: number): VectorFault | undefined {
		const { guest, processor } = this;
		const registers = Uint32Array.from(REGISTERS, (name) => guest.register(name));
		const segments = [0, 1, 2, 3, 4, 5].map((n) => visible(processor.get(SEG.selector, segmentOffset(n))));
		let eip = guest.eip;
		let { eflags } = guest;
		let fault: VectorFault | undefined;
		if (processor.get(F.cpl) !== 3) {
			this.dirty = true;
			const vector = (guest.eip - SYSTEM - PHYSICAL.handlers) >> HANDLER_SHIFT;
			let frame = PHYSICAL.stack + 0x1000 - 20;
			const pop = (): number => {
				frame += 4;
				return this.view.getUint32(frame - 4, true);
			};
			let errorCode = 0;
			if ((ERROR_CODE_VECTORS >> vector) & 1) {
				frame -= 4;
				errorCode = pop();
			}
			eip = pop();
			segments[1] = pop() & 0xffff;
			eflags = pop();
			registers[ESP] = pop();
			segments[2] = pop() & 0xffff;
			fault = { vector, errorCode, ...(vector === PAGE_FAULT && { address: processor.get(F.cr2) >>> 0 }) };
			if (this.ending === "trap" && eip !== start) {
				// Done, and then came the INT3 behind it, or the fetch at a jump's target.
				if (vector === 3 && guest.ram[start - layout.code.start + this.code.current] !== INT3) eip--;
				fault = undefined;
			}
		} else if (segments.some((value, n) => value !== this.before?.segments[n])) this.dirty = true;
		this.after = { registers, eip, eflags, segments };
		return fault;
	}

	state(): VectorState {
		assert(this.after, "a case has run");
		return this.after;
	}

	data(): Uint8Array {
		return this.guest.ram.subarray(layout.data.start, layout.data.end);
	}
}

/** The recorder looked behind an IRET to ring 3, which makes 0 of the null selectors 1 to 3. */
function visible(selector: number): number {
	return selector < 4 ? 0 : selector;
}

const REGISTERS = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"] as const;
