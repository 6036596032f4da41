import type { Arg, Ex } from "../wasm/expression.ts";
import type { FunctionBuilder } from "../wasm/function.ts";

/** A value at a fixed offset of the processor's state in VM memory. */
export class Field {
	readonly offset: number;
	readonly bytes: 4 | 8;
	constructor(offset: number, bytes: 4 | 8) {
		this.offset = offset;
		this.bytes = bytes;
	}
	/** Its value, given the state's address. */
	of(state: Ex, extra = 0): Ex {
		return state.load(this.bytes === 8 ? "i64" : "i32", this.offset + extra);
	}
	set(f: FunctionBuilder, state: Ex, value: Arg, extra = 0): void {
		f.store(this.bytes === 8 ? "i64" : "i32", state, value, this.offset + extra);
	}
}

let end = 0;

function take(bytes: number, align = 8): number {
	end = Math.ceil(end / align) * align;
	const at = end;
	end += bytes;
	return at;
}
const f32 = (): Field => new Field(take(4, 4), 4);
const f64 = (): Field => new Field(take(8), 8);

/** More than the length of any block, bytes. */
export const FAR = 0x10000;

/** The last table of a page walk, as the paging-structure caches of a processor know it (SDM 3A 4.10.3). */
export const WALK_ROW = {
	/** Linear address / 2 MiB, and CR3. */
	region: new Field(0, 8),
	cr3: new Field(8, 8),
	/** F.generation + 1 at the time of the walk. */
	generation: new Field(16, 4),
	/** Offset of the table in VM memory. */
	table: new Field(20, 4),
	/** Bits that the entries above have in common; all ones without any. */
	rights: new Field(24, 4),
	/** Bits 0–7: level of the table, 1 the lowest; bit 8: no entry above forbids to execute. */
	level: new Field(28, 4),
} as const;
export const WALK_ROW_SIZE = 32;
export const WALK_CACHE_ENTRIES = 256;

/** Sixteen general registers, 8 bytes each, in encoding order. */
export const GPRS = take(16 * 8);

/** One segment register (or LDTR, TR): the visible selector and the hidden part. */
export const SEG = {
	selector: new Field(0, 4),
	/** Type 0–3, S 4, DPL 5–6, P 7, AVL 8, L 9, D/B 10, G 11, unusable 16. */
	attributes: new Field(4, 4),
	base: new Field(8, 8),
	/** In bytes, expanded by the granularity; zero-extended. */
	limit: new Field(16, 8),
	/**
	 * An access of `size` bytes at `offset` is inside where, as signed numbers, `low <= offset` and
	 * `offset + size - 1 <= readHigh` (to read) or `writeHigh` (to write). In 64-bit mode everything is inside: addresses
	 * that are not canonical are found on a TLB miss.
	 */
	low: new Field(24, 8),
	readHigh: new Field(32, 8),
	writeHigh: new Field(40, 8),
	/** Code: the last offset from which an instruction byte may come. */
	fetchHigh: new Field(48, 8),
	/** The descriptor it was loaded from, so that loading the same one again is cheap; -1 where it was set otherwise. */
	raw: new Field(56, 8),
	/** Linear address of offset 0: the base; in 64-bit mode only FS and GS have one (SDM 3A 3.4.4). */
	start: new Field(64, 8),
} as const;
export const SEG_SIZE = 72;
export const SEGMENTS = take(8 * SEG_SIZE, 64);

/** Address of segment register `n` relative to the state. */
export function segmentOffset(n: number): number {
	return SEGMENTS + n * SEG_SIZE;
}

export const ATTR = {
	typeMask: 0xf,
	/** Of a code or data type. */
	accessed: 1,
	/** Data: writable; code: readable. */
	writable: 2,
	/** Data: expand-down; code: conforming. */
	expandDown: 4,
	code: 8,
	/** Not a system segment. */
	s: 0x10,
	dplShift: 5,
	present: 0x80,
	long: 0x200,
	/** D/B. */
	big: 0x400,
	granular: 0x800,
	unusable: 0x10000,
} as const;

export const F = {
	/** Always 0: the base or index that an address does not have. */
	zero: f64(),
	/** Always {@link FAR}: the index of an address relative to RIP whose displacement has no room for its place in the block. */
	far: f64(),
	/** Instruction pointer within CS. */
	rip: f64(),
	/** Lazy arithmetic flags: kind number (flag-state.ts) and its two values. */
	flagA: f64(),
	flagB: f64(),
	flagKind: f32(),
	/** EFLAGS but for CF, PF, AF, ZF, SF, OF, which live in the three above. */
	eflags: f32(),
	cr0: f64(),
	cr2: f64(),
	cr3: f64(),
	cr4: f64(),
	efer: f64(),
	dr: new Field(take(8 * 8), 8),
	gdtBase: f64(),
	gdtLimit: f64(),
	idtBase: f64(),
	idtLimit: f64(),
	/** PAE page-directory-pointer registers (SDM 3A 4.4.1). */
	pdpte: new Field(take(4 * 8), 8),
	cpl: f32(),
	/** What decoded code depends on (mode-key.ts). */
	modeKey: new Field(take(4, 8), 4),
	/** Grows whenever a linear address may mean other memory; with modeKey the second half of a jump-cache tag: it lies behind it, as in JUMP. */
	generation: f32(),
	/** 0xFFFFFFFF outside 64-bit mode, else all ones. */
	linearMask: f64(),
	/** 0xFFFFFFFF outside long mode, else all ones: for descriptor tables, task states and the stacks of interrupts. */
	systemMask: f64(),
	/** 64 less the width of linear addresses, 48 or 57 bits: what `isCanonical` shifts by. */
	linearShift: f64(),
	/** 0xFFFF, 0xFFFFFFFF or all ones: how much of RSP the stack uses. */
	stackMask: f64(),
	/** ANDed with physical addresses: A20. */
	physicalMask: f64(),
	/** Address-size masks for 16, 32 and 64 bits. */
	masks: new Field(take(3 * 8), 8),
	/** Addresses of the TLBs in force. */
	tlbRead: f32(),
	tlbWrite: f32(),
	tlbFetch: f32(),
	/** Address of the read TLB for explicit accesses by a supervisor. */
	tlbExplicit: f32(),
	/** 1 where accesses may use and fill the TLBs; 0 while alignment or data breakpoints must be checked. */
	fillable: f32(),
	/** Bits that cannot be in a physical address: reserved in page-table entries. */
	physicalReserved: f64(),
	/** Instructions until the run must return. */
	budget: f32(),
	/** Current block: IP of its first instruction, its first record. */
	blockIp: f64(),
	blockFirst: f32(),
	blockCount: f32(),
	/** Count of retired instructions at which the budget ends. */
	deadline: f64(),
	/** PENDING bits: reasons to look up between two instructions. */
	pending: new Field(take(4, 8), 4),
	/** Not 0: an exception is on its way. */
	faultPending: f32(),
	/** Not 0: interrupts (1) and debug traps (2) wait for one more instruction (STI, MOV SS). */
	shadow: f32(),
	/** Not 0: the next instruction is one that was left for an answer. */
	replaying: f32(),
	/** Not 0: leave as soon as an interrupt could be taken (request_interrupt_window). */
	windowRequest: f32(),
	/** Not 0: each instruction runs by itself, as breakpoints (DR7) or user space's single steps want it. */
	stepped: f32(),
	halted: f32(),
	faultVector: f32(),
	faultCode: f32(),
	/** Linear address for CR2, loaded at delivery. */
	faultAddress: f64(),
	/** Debug-status bits to set with a pending #DB. */
	faultDr6: f32(),
	/** Page walk results. */
	walkGpa: f64(),
	walkFlags: f32(),
	/** Pages of the access in hand (gvaToTlb): count, then entries. */
	txCount: f32(),
	tx: new Field(take(17 * 32), 8),
	/** I/O list of the access in hand (tlbToIo). */
	ioCount: f32(),
	io: new Field(take(20 * 32), 8),
	/** Bytes of the access in hand. */
	data: new Field(take(64), 8),
	/** Answered reads of the instruction in hand. */
	readCount: f32(),
	reads: new Field(take(128 * 32), 8),
	/** Record of the instruction whose reads these are; 0: the next one that reads. */
	readRecord: f32(),
	/** Count of retired instructions (low half, the block's charge included) when they began. */
	readRetired: f32(),
	/** Set by a software interrupt: no single-step trap behind it. */
	trapOff: f32(),
	/** What `delivering` was before the delivery under way. */
	deliveringBefore: f32(),
	/** Not 0: do not enter compiled code for the next block. */
	skipUnit: f32(),
	/** What user space debugs (KVM_SET_GUEST_DEBUG control): bits of GUEST_DEBUG. */
	guestDebug: f32(),
	/** Its breakpoints, which replace the guest's own while GUEST_DEBUG.hardware is set: DR0–DR3, DR7. */
	debugAddress: new Field(take(4 * 8), 8),
	debugControl: f64(),
	/** The DR7 in force: the guest's, or user space's; with {@link BREAK_DEBUGGER} where a debugger watches memory. */
	breakControl: f32(),
	/** A debugger's breakpoints: address of a {@link STOP_OFFSETS} bitmap and the linear addresses behind it, and how many there are. */
	stops: f32(),
	stopCount: f32(),
	/** Its watchpoints: address and number of {@link WATCH} entries. */
	watches: f32(),
	watchCount: f32(),
	/** What it hears of behind EXIT.debug: one of {@link HIT}, and the linear address concerned. */
	hitKind: f32(),
	hitAddress: f64(),
	/** RIP of the last repeated instruction that was left before its end; with EFLAGS.RF there, it has begun. */
	midwayIp: f64(),
	/** What the host wants to hear of: bits of {@link TRACED}. */
	tracing: f32(),
	/** First and last linear address of instructions that it wants to hear of. */
	tracedFirst: f64(),
	tracedLast: f64(),
	/** Debug-status bits of a stop for user space (PENDING.step). */
	stepDr6: f32(),
	/** The dirty ring (KVM_CAP_DIRTY_LOG_RING): address of its entries (0 none), entries less one, entries pushed and reset so far. */
	ring: f32(),
	ringMask: f32(),
	ringPushed: f32(),
	ringReset: f32(),
	/** Entries in use at which the run must return (PENDING.ring). */
	ringSoft: f32(),
	/** Writes of the instruction in hand still to be reported. */
	writeCount: f32(),
	writePosition: f32(),
	writes: new Field(take(128 * 32), 8),
	/** The exit: fields as in struct kvm_run. */
	exitReason: f32(),
	exitAddress: f64(),
	exitLength: f32(),
	exitIsWrite: f32(),
	exitData: f64(),
	ioDirection: f32(),
	ioSize: f32(),
	ioPort: f32(),
	ioTotal: f32(),
	errorSub: f32(),
	/** CS:IP and linear address of the instruction that made the exit; of a port access, IP alone. */
	exitIp: f64(),
	exitLinear: f64(),
	exitCs: f32(),
	/** Of a store's exit: {@link F.modeKey} and EFLAGS.VM as they were for that instruction, whatever it loaded, and {@link STORE}. */
	exitMode: f32(),
	/** Of a store's exit: linear address of its first byte, and {@link FRAGMENT.used} as stores have it. */
	exitTarget: f64(),
	exitPart: f32(),
	/** Not 0: the last element of a REP has made an exit, and RIP is still there: its instruction is not counted yet. */
	repOwed: f32(),
	/** Access bits of the store in hand. */
	storeAccess: f32(),
	/** While an interrupt or exception is delivered: 0x100 + its vector; else 0. */
	event: f32(),
	/** Not 0: the host may have stores to readonly slots fault (ProcessorHost.refuses). */
	refuses: f32(),
	/** Not 0: the host hears of accessed and dirty bits that a readonly slot did not take (ProcessorHost.bitsLost). */
	hearsLostBits: f32(),
	/** On whose account the processor walks: the record of an instruction, 0 what is at RIP, {@link NOBODY}. */
	walkRecord: f32(),
	/** Not 0: such a bit was lost on nobody's account. */
	walkLost: f32(),
	/** Such a bit: the page-table entry's address, what it was to become, its bytes. */
	lostGpa: f64(),
	lostEntry: f64(),
	lostBytes: f32(),
	/** Last slot found; 0 after every change of slots. */
	lastSlot: f32(),
	/** Interrupt vector line from the interrupt controller: 1 while asserted. */
	interruptLine: f32(),
	nmiPending: f32(),
	nmiBlocked: f32(),
	/** Vector queued by KVM_INTERRUPT, -1 none. */
	interruptQueued: f32(),
	/** CR8: the upper half of the task priority, 0..15; the local APIC has it as well. */
	cr8: f32(),
	/** Scratch words for core functions. */
	scratch: new Field(take(128), 8),
	/** Model-specific registers kept as plain values; numbers in msr.ts. */
	msrs: new Field(take(128 * 8), 8),
	/** Lists of filled TLB entries: count, then addresses. */
	tlbListCount: f32(),
	/** Which linear addresses may be cached from pages of 2 or 4 MiB (by bits 32:21 of the address), and of 1 GiB (35:30). */
	largePages: new Field(take(512), 8),
	hugePages: f64(),
	/** Address of the list's array, of the TLB area and of the jump cache. */
	tlbList: f32(),
	tlbArea: f32(),
	jumpCache: f32(),
	/** Address of the physical block table, and of the code bitmap. */
	blockTable: f32(),
	codeBits: f32(),
	codePages: f32(),
	/** Local TSC offset and multiplier are the machine's: tsc = retired * 1 + tscOffset. */
	tscOffset: f64(),
	/** CPUID table: count and address of 32-byte entries. */
	cpuidCount: f32(),
	cpuidTable: f32(),
	/** Not 0: the host takes single port accesses at once, without an exit. */
	portHost: f32(),
	/** Nanoseconds of guest time that such an access takes. */
	portTime: f32(),
	/** Nanoseconds of guest time that no instruction accounts for. */
	passed: f64(),
	/** Answer to a port read: not 0 = present. */
	portAnswered: f32(),
	/** The value of a single port access, either way. */
	portData: f64(),
	/** Answers of a REP INS batch (an IN exit with {@link F.ioTotal} above 1), in order. */
	portBuffer: new Field(take(4096), 8),
	/** Behind a check of a frame to be pushed: VM memory offset of the byte above it; 0 where elements must go one by one. */
	frameTop: f32(),
	/** Values of an instruction that pushes several: the first one is pushed first. */
	words: new Field(take(33 * 8), 8),
	/** YMM0–YMM15, 32 bytes each; the low halves are XMM0–XMM15. */
	ymm: new Field(take(16 * 32, 32), 8),
	/** x87 and MMX registers by physical number (TOP is ftop): 64-bit significand, then sign and exponent as 16 bits. */
	fpr: new Field(take(8 * 16, 16), 8),
	/** FPU control word; status word without TOP; TOP. */
	fcw: f32(),
	fsw: f32(),
	ftop: f32(),
	/** One bit per physical register: 1 where it is not empty (the tag byte of FXSAVE, SDM 1 10.5.1.1). */
	ftags: f32(),
	/** Last x87 instruction: opcode (11 bits), instruction and operand pointers with their selectors. */
	fop: f32(),
	fcs: f32(),
	fds: f32(),
	fip: f64(),
	fdp: f64(),
	/** Operand and result of the x87 operation in hand, as registers are stored. */
	fpuB: new Field(take(16, 16), 8),
	fpuResult: new Field(take(16, 16), 8),
	/** Status-word bits 0–6 that it raises; not 0: the result was rounded away from zero (C1). */
	fpuRaised: f32(),
	fpuUp: f32(),
	/** Image of state on its way to or from memory: FSAVE's, FXSAVE's, or XSAVE's parts one after the other. */
	area: new Field(take(1024, 16), 8),
	/** Numbers of transcendental functions in the making (core/x87/wide.ts). */
	wide: new Field(take(16 * 32, 16), 8),
	/** Not 0: the host takes FERR#, the interrupt that stands for #MF while CR0.NE is 0. */
	ferrHost: f32(),
	/** IGNNE#: x87 errors are ignored while CR0.NE is 0, until none is left. */
	fpuIgnore: f32(),
	mxcsr: f32(),
	/** MXCSR exception bits (0–5) that the SSE instruction in hand has raised so far. */
	floatRaised: f32(),
	xcr0: f64(),
	pkru: f32(),
	/** Bits of CR4, EFER and XCR0 that exist, and the features that the core asks for: by what CPUID shows (feature-bits.ts). */
	cr4Bits: f64(),
	eferBits: f64(),
	xcr0Bits: f64(),
	features: f64(),
	/** State of the generator behind RDRAND and RDSEED. */
	random: f64(),
	/** Diagnostics: instructions interpreted. */
	interpreted: f64(),
	/** Not 0: what runs again with its answer is the delivery of an interrupt, and no instruction. */
	redelivering: f32(),
	/** Vector whose delivery is under way, for double faults; -1 none. */
	delivering: f32(),
	/** Where walks of PAE and 4- or 5-level paging ended: {@link WALK_CACHE_ENTRIES} rows of {@link WALK_ROW}. */
	walkCache: new Field(take(WALK_CACHE_ENTRIES * WALK_ROW_SIZE), 8),
	/** Counter of TLB misses that filled, for statistics. */
	fills: f32(),
	/** Counts stores to pages that hold decoded code: they miss whatever units do. */
	codeStores: f32(),
} as const;

/** Size of a processor's state in bytes. */
export const STATE_SIZE = Math.ceil(end / 4096) * 4096;

/** One page of an access: entries of {@link F.tx}. */
export const TX = {
	gpa: new Field(0, 8),
	length: new Field(8, 4),
	flags: new Field(12, 4),
	linear: new Field(16, 8),
} as const;
export const TX_SIZE = 32;

/** One piece of an access: entries of {@link F.io}. `kind`: 0 RAM, 1 ROM, 2 nothing there; `page`: number of its entry in F.tx. */
export const IO = {
	gpa: new Field(0, 8),
	kind: new Field(8, 4),
	host: new Field(12, 4),
	length: new Field(16, 4),
	offset: new Field(20, 4),
	slot: new Field(24, 4),
	page: new Field(28, 4),
} as const;
export const IO_SIZE = 32;

/**
 * One fragment: entries of {@link F.reads} and {@link F.writes}. `used`, of reads: 1 where the answer has been taken since the
 * last restart, FRAGMENT_WANTED where there is none yet; of writes: its offset in the store, and from bit 16 on the bytes of the
 * store. `linear`, of writes: its address.
 */
export const FRAGMENT = {
	gpa: new Field(0, 8),
	data: new Field(8, 8),
	length: new Field(16, 4),
	used: new Field(20, 4),
	linear: new Field(24, 8),
} as const;
export const FRAGMENT_SIZE = 32;
export const FRAGMENT_WANTED = 2;

/** {@link F.walkRecord}: a look ahead, behind which the access itself follows. */
export const NOBODY = -1;

/** Bits of {@link F.exitMode} besides those of KEY and EFLAGS.VM (17): who stored. */
export const STORE = {
	/** Two bits: the CPL. */
	cplShift: 20,
	/** The delivery of an interrupt or exception; its vector from bit 24 on. */
	delivery: 1 << 22,
	vectorShift: 24,
	/** An accessed or busy bit of a descriptor. */
	descriptor: 1 << 23,
} as const;

/** TLB entry: tag is the linear page; addend + low half of the linear address = offset in VM memory. */
export const TLB = { addend: new Field(0, 4), tag: new Field(4, 8), meta: new Field(12, 4) } as const;
export const TLB_ENTRY = 16;
export const TLB_ENTRIES = 4096;
export const TLB_BYTES = TLB_ENTRIES * TLB_ENTRY;
/**
 * Read, write and fetch TLBs for supervisor, the same for user, then one that stays empty (alignment checks), then read and write
 * TLBs for a supervisor to whom user pages are open ({@link KEY.opened}).
 */
export const TLB_TABLE = { supervisor: 0, user: 3, empty: 6, opened: 7 } as const;
export const TLB_TABLES = 9;
export const TLB_LIST_CAPACITY = 8192;

/** Access bits; the low five are those of a page-fault error code (SDM 3A 4.7). */
export const ACCESS = {
	read: 0,
	write: 2,
	user: 4,
	fetch: 16,
	/** A read whose place is written later: needs write permission. */
	modify: 32,
	/** Supervisor whatever the CPL: descriptor tables, TSS. */
	system: 64,
	/** Translate only: no accessed or dirty bits. */
	check: 128,
	/** The hypervisor's own access: what is not plain memory is an error, never an exit, and no TLB entry is made. */
	hypervisor: 256,
	/** Through SS: an address that is not canonical is #SS(0) instead of #GP(0). */
	stack: 512,
	/** Part of an access whose alignment was checked as a whole. */
	aligned: 1024,
	/** A store to a descriptor's accessed or busy bit: where it lies in ROM, no fault. */
	bit: 2048,
} as const;

/** How a handler ends. */
export const STATUS = {
	/** Go on with the next instruction. */
	next: 0,
	/** RIP is set; the block ends. */
	branch: 1,
	/** Done; look at `pending` before the next instruction. */
	stopNext: 2,
	/** Not done: a fault is pending, or an exit must be answered first. */
	stopHere: 3,
} as const;

/** Bits of {@link F.pending}. */
export const PENDING = {
	/** Fragments wait in `writes`, or an exit is ready. */
	exit: 1,
	/** A debug trap waits (faultDr6). */
	debug: 2,
	/** Interrupt line, queued interrupt or NMI: see the fields. */
	interrupt: 4,
	/** Code of the current block was changed, or translations moved. */
	code: 8,
	/** The host asked to come back. */
	request: 16,
	/** A stop for user space's debugger waits (stepDr6). */
	step: 32,
	/** The dirty ring is full but for its reserve. */
	ring: 64,
	/** Finish what was left open, then come back (immediate_exit). */
	immediate: 128,
} as const;

/** Bits of {@link F.guestDebug} (Linux virt/kvm/api, 4.87). */
export const GUEST_DEBUG = {
	enable: 1,
	singleStep: 2,
	/** INT3 is a stop for user space. */
	software: 0x10000,
	/** User space's DR0–DR3 and DR7 are in force. */
	hardware: 0x20000,
	/** No interrupts while stepping. */
	blockIrq: 0x100000,
	/** Not KVM's: a single step ends at the first instruction of an interrupt's or exception's handler as well. */
	stopAtHandler: 0x1000000,
} as const;

/** Where an interrupt comes from: it decides about rights, the error code's EXT bit and the error code itself. */
export const EVENT = {
	exception: 0,
	/** Interrupt line or NMI. */
	external: 1,
	/** INT n: gate rights are checked; in virtual-8086 mode IOPL and the redirection map too. */
	software: 2,
	/** INT3 and INTO: gate rights are checked. */
	trap: 3,
	/** INT1: as an exception without error code. */
	int1: 4,
} as const;

/** What the host traces: bits of {@link F.tracing}, and the first argument of the import `traced`. */
export const TRACED = { instructions: 0x1000, events: 0x2000, misses: 0x4000 } as const;

/** A debugger has watchpoints (in {@link F.breakControl}; always 0 in DR7), or breakpoints (in {@link F.stepped}). */
export const BREAK_DEBUGGER = 0x800;

/** Why a debugger gets the processor: values of {@link F.hitKind}. */
export const HIT = { none: 0, breakpoint: 1, read: 2, write: 3 } as const;

/** Bytes of a bitmap with a bit for each offset in a page. */
export const STOP_OFFSETS = 4096 / 8;

/** A watchpoint: the linear range (first and last byte), and which accesses it is for: 1 reads, 2 writes. */
export const WATCH = { first: new Field(0, 8), last: new Field(8, 8), kinds: new Field(16, 4) } as const;
export const WATCH_SIZE = 24;
export const WATCH_KIND = { read: 1, write: 2 } as const;

/** One predecoded instruction. */
export const REC = {
	/** u16: index of the handler in the table. */
	handler: 0,
	/** u8: bytes of the instruction. */
	length: 2,
	/** u8: segment number of the memory operand. */
	segment: 3,
	/** u16: offset in the state of the rm (or opcode) register operand; or its number for system registers. */
	rm: 4,
	/** u16: the same of the reg operand. */
	reg: 6,
	/** u16: offsets of base and index registers. */
	base: 8,
	index: 10,
	/** u8: shift of the index; u8: 0, 8 or 16 for address size 16, 32, 64 (offset in F.masks). */
	scale: 12,
	addressSize: 13,
	/** u16: offset of the segment register in the state. */
	segmentOffset: 14,
	/**
	 * i64: first immediate; of a VEX form the offset in the state of the register that imm8[7:4] or a vector index names; of x87
	 * instructions the opcode (three bits of the first byte, then ModRM).
	 */
	immediate: 16,
	/** i32: displacement. */
	displacement: 24,
	/** u16: distance from the block's first byte. */
	ip: 28,
	/** u16: second immediate; for string instructions the repeat prefix; offset in the state of the register in VEX.vvvv. */
	immediate2: 30,
} as const;
export const REC_SIZE = 32;

/** Header of a decoded block; its records follow. */
export const BLOCK = {
	count: new Field(0, 4),
	/** Bytes of code. */
	bytes: new Field(4, 4),
	/** Index of the compiled unit in the table (0 none) and the entry number in it. */
	unit: new Field(8, 4),
	entry: new Field(12, 4),
	/** Counts down to compilation. */
	heat: new Field(16, 4),
	/** Offset in VM memory of the first byte. */
	host: new Field(20, 4),
	key: new Field(24, 4),
	/** Next in the chain of the block table. */
	next: new Field(28, 4),
	/** Offset in VM memory of the second page's start, where the block crosses one; else 0. */
	cross: new Field(32, 4),
	/** Number for the host's own books. */
	id: new Field(36, 4),
	/** Executions. */
	runs: new Field(40, 4),
	/** Its key before some of its bytes were written ({@link NO_KEY} while they are what was decoded), and which of them: from, up to. */
	formerKey: new Field(44, 4),
	writtenFrom: new Field(48, 4),
	writtenTo: new Field(52, 4),
} as const;
export const BLOCK_HEADER = 64;
/** {@link BLOCK}.key of a block that must not run as it is. */
export const NO_KEY = -1;

export const BLOCK_TABLE_ENTRIES = 65536;

/** Hash of a block's place in VM memory. */
export function blockHash(host: number): number {
	return (host ^ (host >>> 16)) & (BLOCK_TABLE_ENTRIES - 1);
}

/** Jump-cache entry: linear IP, then modeKey and generation, then the block. */
export const JUMP = {
	ip: new Field(0, 8),
	key: new Field(8, 4),
	generation: new Field(12, 4),
	block: new Field(16, 4),
} as const;
export const JUMP_SIZE = 32;
export const JUMP_ENTRIES = 4096;

/** A page that compiled code was made from: its linear address, and its offset in VM memory. */
export const CODE_PAGE = { linear: new Field(0, 8), host: new Field(8, 4) } as const;
export const CODE_PAGE_SIZE = 16;

/** What decoded blocks and compiled units depend on: bits of {@link F.modeKey}. */
export const KEY = {
	/** CS.D: 32-bit code. */
	code32: 1,
	/** SS.B: 32-bit stack. */
	stack32: 2,
	/** CS, SS, DS, ES are all 0..4 GiB-1, readable and (but CS) writable; FS and GS are never assumed. */
	flat: 4,
	/** CPL 3. */
	user: 8,
	/** 64-bit mode. */
	long: 16,
	/** Blocks of one instruction: stepping, shadows, the end of a budget. */
	single: 32,
	/** Real or virtual-8086 mode. */
	real: 64,
	/** Compatibility mode: the TLBs may know addresses beyond 4 GiB. */
	compatibility: 128,
	/** SMAP is on, and EFLAGS.AC opens user pages to a supervisor: its accesses have TLBs of their own. */
	opened: 256,
	/** SSE and AVX instructions find what they need switched on in CR0, CR4 and XCR0. */
	sse: 512,
	avx: 1024,
} as const;

/** Code size of a mode, bits. */
export function codeSizeOf(key: number): 16 | 32 | 64 {
	return key & KEY.long ? 64 : key & KEY.code32 ? 32 : 16;
}

/** KVM exit reasons (Linux virt/kvm/api, KVM_EXIT_*). */
export const EXIT = {
	unknown: 0,
	io: 2,
	debug: 4,
	hlt: 5,
	mmio: 6,
	irqWindowOpen: 7,
	shutdown: 8,
	intr: 10,
	/** The guest has lowered CR8, and nobody but user space has an interrupt controller. */
	setTpr: 11,
	internalError: 17,
	dirtyRingFull: 31,
	memoryFault: 39,
	/** Not KVM's: the instruction budget is used up. */
	budget: 256,
	/** Not KVM's: code must be decoded; answered by the engine, never seen outside. */
	translate: 257,
	/** Not KVM's: a store to a readonly slot faults; it has not happened, and the fault is delivered next. */
	storeRefused: 258,
} as const;
