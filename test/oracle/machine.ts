import { assert } from "../../src/base/errors.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { ERROR_CODE_VECTORS } from "../../src/vcpu/core/fault.ts";
import { ATTR, F, type Field, GPRS, STATE_SIZE } from "../../src/vcpu/layout.ts";
import { type EngineName, TestGuest } from "../support/engine.ts";
import { CODE, DATA, type Encoding, NO_FAULT, PAGE, pattern, STATE, STRIDE, USER_FLAGS } from "./cases.ts";

/** Physical addresses; cases see two of these pages, at the addresses that cases.ts says. */
const PHYSICAL = { tables: 0x1000, system: 0x8000, data: 0x10000, firstCode: 0x40000 };
const CODE_PAGES = 1024;
/** In the system page: GDT, TSS and IDT, handlers, and a stack; they stand where no case can address them. */
const SYSTEM = { gdt: 0, tss: 0x80, handlers: 0x200, stack: 0xf00, idt: 0x1000 };
const SYSTEM_LINEAR = 0xffff_ffff_c000_0000n;
const HLT = 0xf4;
/** No instruction in 64-bit mode: nothing behind a case is compiled along with it. */
const FILLING = 0x06;
const CODE_SELECTOR = 0x33;
const DATA_SELECTOR = 0x2b;
const [PRESENT, WRITE, USER, NO_EXECUTE] = [1n, 2n, 4n, 1n << 63n];
const USER_CODE = ATTR.present | ATTR.s | 0xb | (3 << ATTR.dplShift) | ATTR.long | ATTR.granular;
const USER_DATA = ATTR.present | ATTR.s | 3 | (3 << ATTR.dplShift) | ATTR.big | ATTR.granular;
const PAGE_FAULT = 14;
const PATTERN = pattern();

/** The machine of the cases: 64-bit code at CPL 3 with one data page and one code page. */
export class OracleMachine {
	private readonly guest: TestGuest;
	private readonly words: Uint32Array;
	private readonly data: Uint32Array;
	private readonly view: DataView;
	private page = PHYSICAL.firstCode;
	/** Offsets in the code page that hold instructions. */
	private readonly used = new Set<number>();
	private userMode = false;

	static async create(engine: EngineName): Promise<OracleMachine> {
		return new OracleMachine(
			await TestGuest.create(engine, { mode: "long", ram: PHYSICAL.firstCode + CODE_PAGES * PAGE }),
		);
	}

	private constructor(guest: TestGuest) {
		this.guest = guest;
		const { ram, processor } = guest;
		const { buffer, byteOffset } = ram;
		this.view = new DataView(buffer, byteOffset, ram.length);
		this.words = new Uint32Array(processor.memory.memory.buffer, processor.state, STATE_SIZE / 4);
		this.data = new Uint32Array(buffer, byteOffset + PHYSICAL.data, PAGE / 4);
		ram.fill(FILLING, PHYSICAL.firstCode);
		this.setPages();
		this.setTables();
		processor.set64(F.cr0, 0x80050033n);
		processor.set64(F.cr3, BigInt(PHYSICAL.tables));
		// PAE, OSFXSR, OSXMMEXCPT, OSXSAVE.
		processor.set64(F.cr4, 0x40620n);
		processor.set64(F.efer, 0xd01n);
		processor.set64(F.xcr0, 7n);
		processor.refresh();
	}

	private setPages(): void {
		const { tables, data, system } = PHYSICAL;
		const entry = (at: number, value: bigint): void => this.view.setBigUint64(at, value | PRESENT, true);
		const [pml4, low, high] = [tables, tables + 0x1000, tables + 0x4000];
		const next = (at: number, n: number, table: number): void => entry(at + n * 8, BigInt(table) | WRITE | USER);
		next(pml4, 0, low);
		next(low, 0, low + 0x1000);
		next(low + 0x1000, 0, low + 0x2000);
		entry(low + 0x2000 + (DATA / PAGE) * 8, BigInt(data) | WRITE | USER | NO_EXECUTE);
		next(pml4, 511, high);
		next(high, 511, high + 0x1000);
		next(high + 0x1000, 0, high + 0x2000);
		for (let n = 0; n < 2; n++) entry(high + 0x2000 + n * 8, BigInt(system + n * PAGE) | WRITE);
	}

	private setTables(): void {
		const { view } = this;
		const { processor, ram } = this.guest;
		const at = (offset: number): number => PHYSICAL.system + offset;
		const linear = (offset: number): bigint => SYSTEM_LINEAR + BigInt(offset);
		view.setBigUint64(at(SYSTEM.gdt + 8), 0x00af9b000000ffffn, true);
		view.setBigUint64(at(SYSTEM.gdt + 16), 0x00cf93000000ffffn, true);
		view.setBigUint64(at(SYSTEM.tss + 4), linear(SYSTEM.stack), true);
		for (let vector = 0; vector < 32; vector++) {
			const handler = linear(SYSTEM.handlers + vector * 16);
			const gate = at(SYSTEM.idt + vector * 16);
			view.setUint32(gate, Number(handler & 0xffffn) | (8 << 16), true);
			view.setUint32(gate + 4, Number((handler & 0xffff0000n) | 0x8e00n), true);
			view.setUint32(gate + 8, Number(handler >> 32n), true);
			ram[at(SYSTEM.handlers + vector * 16)] = HLT;
		}
		processor.set64(F.gdtBase, linear(SYSTEM.gdt));
		processor.set64(F.gdtLimit, 0x37n);
		processor.set64(F.idtBase, linear(SYSTEM.idt));
		processor.set64(F.idtLimit, 0x1ffn);
		processor.setSegment(6, 0, 0n, 0n, ATTR.unusable);
		processor.setSegment(7, 0x18, BigInt.asUintN(64, linear(SYSTEM.tss)), 0x67n, ATTR.present | 0xb);
	}

	/** Puts an instruction into a code page. Pages are not used twice: code that changes is not compiled. */
	place({ bytes, offset }: Encoding): void {
		const { guest } = this;
		if (this.used.has(offset) || this.used.size === 0) {
			if (this.used.size > 0) this.page += PAGE;
			if (this.page >= guest.ram.length) {
				this.page = PHYSICAL.firstCode;
				guest.ram.fill(FILLING, this.page);
				guest.vm.written(guest.ram.byteOffset + this.page, CODE_PAGES * PAGE);
			}
			this.used.clear();
			this.view.setBigUint64(PHYSICAL.tables + 0x3000 + (CODE / PAGE) * 8, BigInt(this.page) | USER | PRESENT, true);
			guest.processor.call("flushPage", BigInt(CODE));
		}
		this.used.add(offset);
		guest.ram.set(bytes, this.page + offset);
		guest.vm.written(guest.ram.byteOffset + this.page + offset, STRIDE);
	}

	/** Runs the instruction in `place` from a state. @returns the state afterwards, in place, and the data page. */
	run({ bytes, offset, instance }: Encoding, state: Uint32Array): Uint32Array {
		const { processor } = this.guest;
		const start = CODE + offset;
		const undefinedFlags = state[STATE.undefined]!;
		if (!this.userMode) this.enterUserMode();
		this.data.set(PATTERN);
		this.put(state);
		processor.set(F.rip, start);
		processor.set(F.rip, 0, 4);
		processor.call("writeFlags", state[STATE.flags]!);
		processor.set(F.shadow, 0);
		const repeats = instance.form.family.repeat === true && bytes.some((byte) => byte === 0xf2 || byte === 0xf3);
		do {
			processor.setBudget(1);
			const result = this.guest.vcpu.run();
			assert(
				result === 0 && this.guest.vcpu.exit.reason === EXIT_REASON.budget,
				`${Buffer.from(bytes).toString("hex")}: exit ${this.guest.vcpu.exit.reason}`,
			);
		} while (repeats && processor.get(F.cpl) === 3 && processor.get(F.rip) === start);
		const flags = processor.call("readFlags");
		this.take(state);
		state[STATE.undefined] = 0;
		state[STATE.vector] = NO_FAULT;
		state[STATE.error] = 0;
		state[STATE.cr2] = 0;
		state[STATE.cr2 + 1] = 0;
		state[STATE.rip] = processor.get(F.rip);
		state[STATE.rip + 1] = processor.get(F.rip, 4);
		state[STATE.flags] = flags & USER_FLAGS & ~undefinedFlags;
		if (processor.get(F.cpl) !== 3) this.takeFault(state, undefinedFlags);
		return this.data;
	}

	private enterUserMode(): void {
		const { processor } = this.guest;
		processor.setSegment(1, CODE_SELECTOR, 0n, 0xffffffffn, USER_CODE);
		for (const n of [0, 3, 4, 5]) processor.setSegment(n, 0, 0n, 0xffffffffn, USER_DATA);
		processor.setSegment(2, DATA_SELECTOR, 0n, 0xffffffffn, USER_DATA);
		processor.set(F.cpl, 3);
		processor.call("updateSegments");
		processor.call("updateMode");
		this.userMode = true;
	}

	private put(state: Uint32Array): void {
		const { words } = this;
		const fsw = state[STATE.fsw]!;
		const top = (fsw >> 11) & 7;
		const field = ({ offset }: Field, value: number): void => {
			words[offset / 4] = value;
		};
		words.set(state.subarray(0, 32), GPRS / 4);
		words.set(state.subarray(STATE.ymm, STATE.ymm + 128), F.ymm.offset / 4);
		field(F.mxcsr, state[STATE.mxcsr]!);
		field(F.fcw, state[STATE.fcw]!);
		field(F.fsw, fsw & ~0x3800);
		field(F.ftop, top);
		field(F.ftags, state[STATE.tags]!);
		for (let n = 0; n < 8; n++)
			words.set(state.subarray(STATE.st + n * 4, STATE.st + n * 4 + 4), F.fpr.offset / 4 + ((top + n) & 7) * 4);
	}

	private take(state: Uint32Array): void {
		const { words } = this;
		const field = ({ offset }: Field): number => words[offset / 4]!;
		const top = field(F.ftop);
		state.set(words.subarray(GPRS / 4, GPRS / 4 + 32));
		state.set(words.subarray(F.ymm.offset / 4, F.ymm.offset / 4 + 128), STATE.ymm);
		state[STATE.mxcsr] = field(F.mxcsr);
		state[STATE.fcw] = field(F.fcw);
		state[STATE.fsw] = field(F.fsw) | (top << 11);
		state[STATE.tags] = field(F.ftags);
		for (let n = 0; n < 8; n++) {
			const at = F.fpr.offset / 4 + ((top + n) & 7) * 4;
			state.set(words.subarray(at, at + 4), STATE.st + n * 4);
			state[STATE.st + n * 4 + 2]! &= 0xffff;
			state[STATE.st + n * 4 + 3] = 0;
		}
	}

	private takeFault(state: Uint32Array, undefinedFlags: number): void {
		const { view } = this;
		const { processor } = this.guest;
		this.userMode = false;
		const vector = ((processor.get(F.rip) & 0xfff) - SYSTEM.handlers) >> 4;
		const withCode = ((ERROR_CODE_VECTORS >> vector) & 1) === 1;
		const frame = PHYSICAL.system + SYSTEM.stack - 40;
		const word = (at: number, n: number): number => view.getUint32(frame + at + n * 4, true);
		state[STATE.vector] = vector;
		state[STATE.error] = withCode ? word(-8, 0) : 0;
		for (let n = 0; n < 2; n++) {
			state[STATE.rip + n] = word(0, n);
			state[8 + n] = word(24, n);
			if (vector === PAGE_FAULT) state[STATE.cr2 + n] = processor.get(F.cr2, n * 4);
		}
		state[STATE.flags] = word(16, 0) & USER_FLAGS & ~undefinedFlags;
	}
}
