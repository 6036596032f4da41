import { assert } from "../base/errors.ts";
import type { Decoder } from "../isa/decoder.ts";
import type { Feature } from "../isa/features.ts";
import { SEGMENT } from "../isa/registers.ts";
import { BlockDecoder } from "./block-decoder.ts";
import { Breakpoints } from "./breakpoints.ts";
import { CodeSpace } from "./code-space.ts";
import type { Compiler } from "./compiler.ts";
import { FSW } from "./core/control-bits.ts";
import { controlBits } from "./core/feature-bits.ts";
import { loadCore } from "./core/load.ts";
import { cpuidOf, DEFAULT_CPU } from "./cpu-models.ts";
import { CPUID_ENTRY_SIZE, type CpuidEntry, encodeCpuid, featuresIn, findCpuid, isAmd } from "./cpuid.ts";
import {
	EXIT,
	F,
	FAR,
	type Field,
	FRAGMENT,
	FRAGMENT_SIZE,
	FRAGMENT_WANTED,
	GPRS,
	JUMP_ENTRIES,
	JUMP_SIZE,
	PENDING,
	REC,
	REC_SIZE,
	SEG,
	STATE_SIZE,
	segmentOffset,
	TLB,
	TLB_BYTES,
	TLB_ENTRY,
	TLB_LIST_CAPACITY,
	TLB_TABLES,
	TX,
	TX_SIZE,
} from "./layout.ts";
import type { ProcessorHost } from "./processor-host.ts";
import { resetState } from "./reset.ts";
import { PAGE_SIZE, type VmMemory } from "./vm-memory.ts";

/** What a fault or an exit leaves in the state. */
const ATTEMPTED = [F.faultPending, F.faultVector, F.faultCode, F.exitReason, F.delivering] as const;
/** One page of them. */
const MAX_CPUID_ENTRIES = 4096 / CPUID_ENTRY_SIZE;

type CoreFunction = (...args: (number | bigint)[]) => number;

/** Host addresses of code shared by the processors of one VM. */
const codeSpaces = new WeakMap<VmMemory, CodeSpace>();

function codeSpaceOf(memory: VmMemory): CodeSpace {
	let space = codeSpaces.get(memory);
	if (!space) {
		space = new CodeSpace(memory);
		codeSpaces.set(memory, space);
	}
	return space;
}

/** One software processor: its state in VM memory, the core instance that runs it, and the decoder that feeds it. */
export class Processor {
	/** Offset of the state in VM memory. */
	readonly state: number;
	readonly memory: VmMemory;
	readonly code: CodeSpace;
	readonly core: Readonly<Record<string, CoreFunction>>;
	readonly table: WebAssembly.Table;
	private readonly runCore: CoreFunction;
	private readonly words: Int32Array;
	private readonly tlbWords: Int32Array;
	private readonly view: DataView;
	private blocks = new BlockDecoder(this);
	/** Those that instructions are decoded for; undefined: all. */
	features: ReadonlySet<Feature> | undefined;
	private all: Uint8Array;
	/** {@link setCompiler} sets it. */
	compiler: Compiler | undefined;
	/** Whether somebody counts instructions: {@link setBudget} was called. */
	limited = false;
	private readonly host: ProcessorHost;
	private debugged: Breakpoints | undefined;
	private cpuid: readonly CpuidEntry[] = [];

	static async create(memory: VmMemory, host: ProcessorHost): Promise<Processor> {
		return new Processor(memory, host, await loadCore());
	}

	constructor(memory: VmMemory, host: ProcessorHost, module: WebAssembly.Module) {
		this.memory = memory;
		this.host = host;
		this.code = codeSpaceOf(memory);
		const st = memory.allocate(STATE_SIZE);
		this.state = st;
		const tlbArea = memory.allocate(TLB_TABLES * TLB_BYTES);
		const tlbList = memory.allocate(TLB_LIST_CAPACITY * 4);
		const jumpCache = memory.allocate(JUMP_ENTRIES * JUMP_SIZE);
		this.tlbWords = new Int32Array(memory.memory.buffer, tlbArea, (TLB_TABLES * TLB_BYTES) / 4);
		this.words = new Int32Array(memory.memory.buffer, st, STATE_SIZE / 4);
		this.view = new DataView(memory.memory.buffer, st, STATE_SIZE);
		this.all = new Uint8Array(memory.memory.buffer);
		memory.bytes(tlbArea, TLB_TABLES * TLB_BYTES).fill(0xff);
		const takePort = host.port?.bind(host);
		const { exports } = new WebAssembly.Instance(module, {
			env: {
				memory: memory.memory,
				translate: (_st: number, key: number) => this.blocks.translate(key),
				mend: (_st: number, block: number) => this.blocks.mend(block),
				codeWritten: (_st: number, at: number, length: number) => this.codeWritten(at, length),
				compile: (_st: number, block: number) => this.compiler?.compile(block),
				verify: (_st: number, block: number) => this.compiler?.verify(block),
				acknowledge: () => this.host.acknowledge(),
				port: (_st: number, isWrite: number, port: number, size: number, value: number) =>
					takePort?.(isWrite !== 0, port, size, value >>> 0) ?? 0,
				bus: (_st: number, isWrite: number, fragment: number) => this.bus(isWrite !== 0, fragment),
				ferr: () => this.host.ferr?.(),
				msr: (_st: number, isWrite: number, index: number) => this.msr(isWrite !== 0, index),
				taskPriority: (_st: number, value: number) => this.taskPriority(value),
				refuses: (_st: number, page: number) => this.refuses(page),
				traced: (_st: number, what: number, number: number, address: bigint, value: bigint) =>
					this.host.traced?.(what, number, BigInt.asUintN(64, address), BigInt.asUintN(64, value)),
				bitsLost: () => this.bitsLost(),
			},
		});
		this.core = exports as unknown as Record<string, CoreFunction>;
		this.table = exports["table"] as WebAssembly.Table;
		this.runCore = exports["run"] as CoreFunction;
		this.set(F.portHost, host.port ? 1 : 0);
		this.set(F.ferrHost, host.ferr ? 1 : 0);
		this.set(F.tlbArea, tlbArea);
		this.set(F.tlbList, tlbList);
		this.set(F.jumpCache, jumpCache);
		this.set(F.blockTable, this.code.table);
		this.set(F.codeBits, this.code.codeBits);
		this.set(F.codePages, this.code.codePages);
		this.set64(F.masks, 0xffffn);
		this.set64(F.masks, 0xffffffffn, 8);
		this.set64(F.masks, 0xffff_ffff_ffff_ffffn, 16);
		this.set64(F.far, BigInt(FAR));
		this.set64(F.physicalMask, 0xffff_ffff_ffff_ffffn);
		this.setPhysicalBits(40);
		this.set(F.cpuidTable, memory.allocate(MAX_CPUID_ENTRIES * CPUID_ENTRY_SIZE));
		this.setCpuid(cpuidOf(DEFAULT_CPU));
		this.set(F.interruptQueued, -1);
		this.set(F.delivering, -1);
		// The processors of a VM share their decoded code, and every one of them must hear.
		const { onNewCodePage, onRemove, onFlush } = this.code;
		this.code.onNewCodePage = () => {
			onNewCodePage();
			this.call("flushWrites");
		};
		this.code.onRemove = (block) => {
			onRemove(block);
			this.compiler?.removed(block);
		};
		this.code.onFlush = () => {
			onFlush();
			this.set(F.generation, this.get(F.generation) + 1);
			this.compiler?.flushed();
		};
		this.reset();
	}

	/** A debugger's breakpoints and watchpoints on this processor. */
	get breakpoints(): Breakpoints {
		this.debugged ??= new Breakpoints(this);
		return this.debugged;
	}

	/** No unit is to have an instruction at a linear address (u64). */
	cutUnits(linear: bigint): void {
		this.compiler?.cut(linear);
	}

	/** Whether a decoded block is to end before an instruction at this offset in a page. */
	cutsBlock(offset: number): boolean {
		return this.debugged?.cutsBlock(offset) ?? false;
	}

	/** Whether compiled code leaves an instruction at a linear address, signed where it has 64 bits, to the interpreter. */
	leavesToInterpreter(linear: number): boolean {
		return this.debugged?.cutsUnit(BigInt.asUintN(64, BigInt(linear))) ?? false;
	}

	/** Uses `compiler` from now on, for blocks decoded from now on. */
	setCompiler(compiler: Compiler | undefined): void {
		this.compiler = compiler;
		this.code.flush();
	}

	/** Calls a core function with the state first. */
	call(name: string, ...args: (number | bigint)[]): number {
		const f = this.core[name];
		assert(f, `core function ${name}`);
		return f(this.state, ...args);
	}

	get(field: Field, extra = 0): number {
		return this.words[(field.offset + extra) >> 2]!;
	}
	set(field: Field, value: number, extra = 0): void {
		this.words[(field.offset + extra) >> 2] = value;
	}
	get64(field: Field, extra = 0): bigint {
		return this.view.getBigUint64(field.offset + extra, true);
	}
	set64(field: Field, value: bigint, extra = 0): void {
		this.view.setBigUint64(field.offset + extra, BigInt.asUintN(64, value), true);
	}
	/** The state's own bytes from a field on. */
	stateBytes(field: Field, bytes: number): Uint8Array {
		return this.all.subarray(this.state + field.offset, this.state + field.offset + bytes);
	}
	/** A 64-bit field as a number; exact below 2^53. */
	getNumber(field: Field, extra = 0): number {
		return (this.get(field, extra) >>> 0) + this.get(field, extra + 4) * 0x1_0000_0000;
	}

	/** General register `n`. */
	gpr(n: number): bigint {
		return this.view.getBigUint64(GPRS + n * 8, true);
	}
	setGpr(n: number, value: bigint): void {
		this.view.setBigUint64(GPRS + n * 8, BigInt.asUintN(64, value), true);
	}

	/** KVM_SET_CPUID2: what CPUID answers, and which features there are, from now on. */
	setCpuid(entries: readonly CpuidEntry[]): void {
		assert(entries.length <= MAX_CPUID_ENTRIES, "CPUID entries");
		this.cpuid = entries;
		const bytes = encodeCpuid(entries);
		this.memory.bytes(this.get(F.cpuidTable) >>> 0, bytes.length).set(bytes);
		this.set(F.cpuidCount, entries.length);
		const features = featuresIn(entries);
		this.setInstructions(features);
		const bits = controlBits(features, isAmd(entries));
		for (const name of ["cr4Bits", "eferBits", "xcr0Bits", "features"] as const) this.set64(F[name], bits[name]);
		const widths = findCpuid(entries, 0x80000008)?.eax ?? 0;
		if ((widths & 0xff) !== 0) this.setPhysicalBits(widths & 0xff);
	}

	/** For code as this processor takes it: the object that it hands out does not last. */
	get decoder(): Decoder {
		return this.blocks.decoder;
	}

	/** Decodes only instructions of these features from now on; absent: everything that there is. No code may be running. */
	setInstructions(features?: ReadonlySet<Feature>): void {
		this.features = features;
		this.blocks = new BlockDecoder(this, features);
		this.code.flush();
	}

	/** Width of physical addresses; bits above are reserved in page-table entries. */
	setPhysicalBits(bits: number): void {
		const reserved = ((1n << 52n) - 1n) & ~((1n << BigInt(bits)) - 1n);
		this.set64(F.physicalReserved, reserved);
	}

	/** Instructions retired since the state was made. */
	retired(): number {
		return this.getNumber(F.deadline) - this.get(F.budget);
	}

	/** Instructions that it may still retire. */
	get budget(): number {
		return this.get(F.budget);
	}

	/** Lets the processor retire `count` more instructions, 0 ≤ count < 2^31. Before the first call there is no end to them. */
	setBudget(count: number): void {
		this.limited = true;
		this.allow(count);
	}

	/** Like {@link setBudget}, for those who run the processor in slices on their own account. */
	allow(count: number): void {
		const deadline = this.retired() + count;
		this.set(F.deadline, deadline | 0);
		this.set(F.deadline, Math.floor(deadline / 0x1_0000_0000), 4);
		this.set(F.budget, count);
	}

	/** A segment register with its hidden part; ranges follow. `limit` in bytes. */
	setSegment(n: number, selector: number, base: bigint, limit: bigint, attributes: number): void {
		const at = segmentOffset(n);
		this.set(SEG.selector, selector, at);
		this.set(SEG.attributes, attributes, at);
		this.set64(SEG.base, base, at);
		this.set64(SEG.limit, limit, at);
	}

	/** Other memory, or none, is where the guest saw `length` bytes at `offset` of the VM's memory: translations to them are forgotten. */
	forgetHost(offset: number, length: number): void {
		const last = offset + length - 1;
		this.call("flushHost", (offset - (offset % PAGE_SIZE)) | 0, (last - (last % PAGE_SIZE)) | 0);
		if (!this.code.holdsCode(offset, length)) return;
		this.set(F.generation, this.get(F.generation) + 1);
		this.set(F.pending, this.get(F.pending) | PENDING.code);
	}

	/** Works out everything that follows from control registers and segments, and forgets translations. */
	refresh(): void {
		this.call("updateSegments");
		this.call("updateMode");
		this.call("flushTlb", 0);
	}

	/** After power-on or reset, or after INIT, which keeps caching, model-specific registers and the time-stamp counter. */
	reset(kind: "power-on" | "init" = "power-on"): void {
		resetState(this, kind, findCpuid(this.cpuid, 1)?.eax ?? 0);
	}

	/**
	 * Runs until something needs an answer.
	 * @returns an exit reason of {@link EXIT}; its details are in the exit fields of the state.
	 */
	run(): number {
		this.compiler?.poll();
		return this.runCore(this.state);
	}

	/** Level of the interrupt request line. */
	setInterruptLine(asserted: boolean): void {
		this.set(F.interruptLine, asserted ? 1 : 0);
		if (asserted) this.set(F.pending, this.get(F.pending) | PENDING.interrupt);
	}

	/** CR8 as the guest reads it, 0..15: the local APIC's task priority has changed. */
	setTaskPriority(value: number): void {
		this.set(F.cr8, value);
	}

	/** The time-stamp counter, 64 bits. */
	timeStamp(): bigint {
		return BigInt.asUintN(64, BigInt(this.retired()) + this.get64(F.tscOffset));
	}

	/** Whether an interrupt or NMI that is pending would end HLT. */
	wakes(): boolean {
		if (this.get(F.nmiPending) && !this.get(F.nmiBlocked)) return true;
		return this.interruptible() && (this.get(F.interruptLine) !== 0 || this.get(F.interruptQueued) >= 0);
	}

	/** EFLAGS.IF. */
	interruptible(): boolean {
		return (this.get(F.eflags) & 0x200) !== 0;
	}

	/** IGNNE#, until no unmasked x87 error is left; without one nothing happens. */
	ignoreFpuErrors(): void {
		if ((this.get(F.fsw) & FSW.summary) !== 0) this.set(F.fpuIgnore, 1);
	}

	/** Opens (addresses as they are) or closes (bit 20 is 0) the A20 gate. */
	setA20(open: boolean): void {
		const mask = open ? 0xffff_ffff_ffff_ffffn : 0xffff_ffff_ffef_ffffn;
		if (this.get64(F.physicalMask) === mask) return;
		this.set64(F.physicalMask, mask);
		this.call("flushTlb", 0);
	}

	/**
	 * VM memory offset of a linear code page (a multiple of 4096, signed where it has 64 bits) that has been fetched from, or
	 * 0. Changes nothing.
	 */
	fetchCached(page: number): number {
		const words = this.tlbWords;
		const at = (this.get(F.tlbFetch) - this.get(F.tlbArea) + ((page >>> 8) & 0xfff0)) >> 2;
		if (words[at + TLB.tag.offset / 4] !== (page | 0)) return 0;
		if (words[at + TLB.tag.offset / 4 + 1] !== Math.floor(page / 0x1_0000_0000)) return 0;
		return (words[at + TLB.addend.offset / 4]! + page) >>> 0;
	}

	/** The addend that at least three quarters of the read TLB in force have; undefined where there is none. */
	commonAddend(): number | undefined {
		const words = this.tlbWords;
		const first = (this.get(F.tlbRead) - this.get(F.tlbArea)) >> 2;
		const counts = new Map<number, number>();
		let entries = 0;
		for (let at = first; at < first + TLB_BYTES / 4; at += TLB_ENTRY / 4) {
			// Entries that are empty or taken away have tags that are no page.
			if ((words[at + TLB.tag.offset / 4]! & 0xfff) !== 0) continue;
			const addend = words[at + TLB.addend.offset / 4]!;
			counts.set(addend, (counts.get(addend) ?? 0) + 1);
			entries++;
		}
		for (const [addend, count] of counts) if (count * 4 >= entries * 3) return addend;
		return undefined;
	}

	/** Nanoseconds of guest time that no instruction accounts for. */
	passed(): number {
		return this.getNumber(F.passed);
	}

	/** Guest time passes that no instruction accounts for; the time-stamp counter shows it. */
	pass(ns: number): void {
		this.addTo(F.passed, ns);
		this.addTo(F.tscOffset, ns);
	}

	/** How long, in nanoseconds, a port access takes that the host answers at once. */
	setPortTime(ns: number): void {
		this.set(F.portTime, ns);
	}

	private addTo(field: Field, count: number): void {
		const low = (this.get(field) >>> 0) + count;
		this.set(field, low | 0);
		if (low >= 0x1_0000_0000) this.set(field, this.get(field, 4) + Math.floor(low / 0x1_0000_0000), 4);
	}

	/** Up to `length` code bytes at a linear address, for people: nothing changes, and what cannot be read is left out. */
	peekCode(linear: bigint, length: number): Uint8Array {
		const out = new Uint8Array(length);
		let filled = 0;
		this.attempt(() => {
			while (filled < length) {
				const host = this.call("fetchHost", linear + BigInt(filled)) >>> 0;
				if (host === 0) break;
				const end = host + Math.min(length - filled, PAGE_SIZE - (host % PAGE_SIZE));
				out.set(this.bytes().subarray(host, end), filled);
				filled += end - host;
			}
		});
		return out.subarray(0, filled);
	}

	/** Calls core functions whose faults and exits are nobody's: they are gone when it returns. */
	attempt<T>(action: () => T): T {
		const words = ATTEMPTED.map((field) => this.get(field));
		const address = this.get64(F.faultAddress);
		const exit = this.get(F.pending) & PENDING.exit;
		const hears = this.get(F.hearsLostBits);
		this.set(F.hearsLostBits, 0);
		const result = action();
		this.set(F.hearsLostBits, hears);
		ATTEMPTED.forEach((field, n) => {
			this.set(field, words[n]!);
		});
		this.set(F.pending, (this.get(F.pending) & ~PENDING.exit) | exit);
		this.set64(F.faultAddress, address);
		return result;
	}

	/** An external interrupt that needs no acknowledge: taken as soon as the guest lets it; a later one replaces it. */
	queueInterrupt(vector: number): void {
		this.set(F.interruptQueued, vector);
		this.set(F.pending, this.get(F.pending) | PENDING.interrupt);
	}

	/** A non-maskable interrupt. */
	nmi(): void {
		this.set(F.nmiPending, 1);
		this.set(F.pending, this.get(F.pending) | PENDING.interrupt);
	}

	/**
	 * Answers the MMIO read that `run` returned for with F.exitData. The next `run` goes on with it.
	 * @returns whether there is another part of the same access to ask for: the exit fields say what.
	 */
	answerRead(): boolean {
		const reads = this.get(F.readCount);
		if (reads === 1) {
			this.set(F.reads, this.get(F.exitData), FRAGMENT.data.offset);
			this.set(F.reads, this.get(F.exitData, 4), FRAGMENT.data.offset + 4);
			this.restart();
			return false;
		}
		let answered = false;
		for (let n = 0; n < reads; n++) {
			const at = n * FRAGMENT_SIZE;
			if (this.get(F.reads, at + FRAGMENT.used.offset) !== FRAGMENT_WANTED) continue;
			if (answered) {
				this.call("askUser");
				this.set(F.exitReason, 0);
				this.set(F.pending, this.get(F.pending) & ~PENDING.exit);
				return true;
			}
			this.set(F.reads, this.get(F.exitData), at + FRAGMENT.data.offset);
			this.set(F.reads, this.get(F.exitData, 4), at + FRAGMENT.data.offset + 4);
			this.set(F.reads, 0, at + FRAGMENT.used.offset);
			answered = true;
		}
		this.restart();
		return false;
	}

	/** Answers a port read with the bytes in the port buffer. */
	answerPort(): void {
		this.set(F.portData, this.get(F.portBuffer));
		this.set(F.portAnswered, 1);
		this.restart();
	}

	/** Offset in VM memory of the bytes that go through a port: 4096 of them. */
	get portBuffer(): number {
		return this.state + F.portBuffer.offset;
	}

	private restart(): void {
		for (let n = this.get(F.readCount) - 1; n >= 0; n--) {
			this.set(F.reads, 0, n * FRAGMENT_SIZE + FRAGMENT.used.offset);
		}
		this.set(F.readRecord, 0);
		this.set(F.replaying, 1);
	}

	private bus(isWrite: boolean, fragment: number): number {
		if (this.host.bus === undefined) return 0;
		const at = fragment - this.state;
		const gpa = this.view.getBigUint64(at + FRAGMENT.gpa.offset, true);
		const length = this.view.getInt32(at + FRAGMENT.length.offset, true);
		const data = this.view.getBigUint64(at + FRAGMENT.data.offset, true);
		const setData = (value: bigint): void => this.view.setBigUint64(at + FRAGMENT.data.offset, value, true);
		return this.host.bus(isWrite, gpa, length, data, setData) ? 1 : 0;
	}

	/** What a write exit stores: 1 to 8 bytes of VM memory, which the next exit replaces. */
	exitBytes(): Uint8Array {
		return this.stateBytes(F.exitData, this.get(F.exitLength));
	}

	/** Piece `n` of those that wait to be exits of their own ({@link F.writes}). `storeSize`: bytes of the store that it is part of. */
	storePiece(n: number): { gpa: number; linear: bigint; data: Uint8Array; storeSize: number } {
		const at = F.writes.offset + n * FRAGMENT_SIZE;
		return {
			gpa: this.getNumber(FRAGMENT.gpa, at),
			linear: this.get64(FRAGMENT.linear, at),
			data: this.stateBytes(F.writes, (n + 1) * FRAGMENT_SIZE).subarray(
				n * FRAGMENT_SIZE + FRAGMENT.data.offset,
				n * FRAGMENT_SIZE + FRAGMENT.data.offset + this.get(FRAGMENT.length, at),
			),
			storeSize: this.get(FRAGMENT.used, at) >>> 16,
		};
	}

	/** The pages of the access in hand, or just attempted ({@link F.tx}). */
	pagesInHand(): { gpa: number; linear: bigint; length: number }[] {
		return Array.from({ length: this.get(F.txCount) }, (_, n) => {
			const at = F.tx.offset + n * TX_SIZE;
			return {
				gpa: this.getNumber(TX.gpa, at),
				linear: this.get64(TX.linear, at),
				length: this.get(TX.length, at),
			};
		});
	}

	/** Stores to readonly slots fault where the host says so. No code may be running. */
	refuseStores(on: boolean): void {
		this.set(F.refuses, on ? 1 : 0);
	}

	/** From now on the host hears of these: bits of TRACED; of instructions only from `first` to `last`, linear addresses. */
	trace(what: number, first: bigint, last: bigint): void {
		this.set(F.tracing, what);
		this.set64(F.tracedFirst, first);
		this.set64(F.tracedLast, last);
		this.call("updateMode");
	}

	/** The host hears of bits that page tables in readonly slots do not take. */
	hearLostBits(on: boolean): void {
		this.set(F.hearsLostBits, on ? 1 : 0);
	}

	private refuses(page: number): number {
		return (this.host.refuses?.(this.getNumber(TX.gpa, page - this.state)) ?? true) ? 1 : 0;
	}

	private bitsLost(): void {
		const record = this.get(F.walkRecord) >>> 0;
		const inBlock = record === 0 ? 0 : this.all[record + REC.ip]! | (this.all[record + REC.ip + 1]! << 8);
		const ip = record === 0 ? this.get64(F.rip) : this.get64(F.blockIp) + BigInt(inBlock);
		const linear = this.get64(SEG.start, segmentOffset(SEGMENT.cs)) + ip;
		// The block is charged as a whole; the host sees the time as at an exit.
		const before = (record - (this.get(F.blockFirst) >>> 0)) / REC_SIZE;
		const charged = record === 0 ? 0 : this.get(F.blockCount) - before;
		this.set(F.budget, this.get(F.budget) + charged);
		this.host.bitsLost?.({
			gpa: this.getNumber(F.lostGpa),
			entry: this.get64(F.lostEntry),
			bytes: this.get(F.lostBytes),
			ip,
			linear: linear & this.get64(F.linearMask),
		});
		this.set(F.budget, this.get(F.budget) - charged);
	}

	private msr(isWrite: boolean, index: number): number {
		const answer = this.host.msr(isWrite, index >>> 0, this.get64(F.scratch));
		if (answer === undefined || answer === false) return 0;
		if (typeof answer === "bigint") this.set64(F.scratch, answer);
		return 1;
	}

	/** CR8 is about to be written; user space hears of a lower one, as KVM without an interrupt controller has it. */
	private taskPriority(value: number): void {
		if (this.host.taskPriority !== undefined) this.host.taskPriority(value);
		else if (value < this.get(F.cr8)) {
			this.set(F.exitReason, EXIT.setTpr);
			this.set(F.pending, this.get(F.pending) | PENDING.exit);
		}
	}

	private codeWritten(at: number, length: number): void {
		this.code.invalidate(at >>> 0, length);
	}

	/** Bytes of the whole VM memory; memory grows while RAM is being allocated. */
	bytes(): Uint8Array {
		if (this.all.length !== this.memory.size) this.all = new Uint8Array(this.memory.memory.buffer);
		return this.all;
	}
}

export { EXIT };
