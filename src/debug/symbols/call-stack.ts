import { callBefore } from "./call-before.ts";
import type { StackRegisters } from "./guest-view.ts";
import { type Frame, type MemoryReader, type Place, type Symbols, type UnwindRegisters, wordIn } from "./symbols.ts";

/** Frames of a stack that nobody asked to be longer. */
export const USUAL_FRAMES = 16;
/** Words of stack that are looked at for one frame, and for a whole stack. */
const WORDS_A_FRAME = 512;
const WORDS_IN_ALL = 2048;
/** A frame pointer further away belongs to another stack. */
const LARGEST_FRAME = 1n << 16n;
const NO_SYMBOLS: Symbols = { at: () => undefined };
/** What {@link UnwindRegisters} call the registers. */
const ORDER = {
	i386: ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"],
	"x86-64": [
		...["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"],
		...["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"],
	],
} as const;
const STACK = { i386: { sp: 4, bp: 5 }, "x86-64": { sp: 7, bp: 6 } } as const;
const PUSH_BP = 0x55;
const RET = [0xc3, 0xc2];

/**
 * Who called whom, the innermost frame first: by the compiler's unwind tables where `symbols` has them, else by frame pointers, each
 * checked for a CALL before the return address, else by what looks like a return address on the stack. Reads a bounded number of words,
 * whatever the guest has there.
 * @param limit most frames, at least 1
 */
export function callStack(
	registers: StackRegisters,
	read: MemoryReader,
	symbols: Symbols = NO_SYMBOLS,
	limit = USUAL_FRAMES,
): Frame[] {
	const bits = registers.mode === "long" ? 64 : registers.mode === "prot32" ? 32 : 16;
	const walker =
		bits === 16 ? new SegmentedStack(registers, read, symbols) : new FlatStack(registers, bits, read, symbols);
	const frames: Frame[] = [{ address: walker.address, place: symbols.at(walker.address), how: "exact" }];
	while (frames.length < limit) {
		const how = walker.up();
		if (how === undefined) break;
		frames.push({ address: walker.address, place: callPlace(symbols, walker.address), how });
	}
	return frames;
}

/** Where the call was made that returns to `address`. */
function callPlace(symbols: Symbols, address: bigint): Place | undefined {
	const place = address === 0n ? undefined : symbols.at(address - 1n);
	return place && { ...place, offset: place.offset + 1 };
}

/** Where a place's symbol begins; undefined without one. */
function startOf(symbols: Symbols, address: bigint): bigint | undefined {
	const place = symbols.at(address);
	return place?.symbol === undefined ? undefined : address - BigInt(place.offset);
}

/** Steps from frame to frame. */
interface Walker {
	/** Linear address of the frame. */
	readonly address: bigint;
	/** Goes to the caller. @returns how it was found; undefined: that was the last one. */
	up(): Frame["how"] | undefined;
}

/** A function's own name: compilers and assemblers name its parts with a dot (`main.cold`, `start.loop`). */
const functionAt = (symbols: Symbols, address: bigint): string | undefined =>
	symbols.at(address)?.symbol?.replace(/(?<=.)\..*$/, "");

/** Whether a call of `target` can have led to a frame at `address`; where symbols do not tell, it can. */
function leadsTo(symbols: Symbols, target: bigint | undefined, address: bigint): boolean {
	if (target === undefined) return true;
	const [called, inside] = [functionAt(symbols, target), functionAt(symbols, address)];
	return called === undefined || inside === undefined || called === inside;
}

/** 32-bit and 64-bit code; segments of 32-bit code may have bases. */
class FlatStack implements Walker {
	private readonly bits: 32 | 64;
	private readonly width: 4 | 8;
	private readonly mask: bigint;
	private readonly codeBase: bigint;
	private readonly stackBase: bigint;
	private readonly read: MemoryReader;
	private readonly symbols: Symbols;
	private readonly machine: "i386" | "x86-64";
	private pc: bigint;
	private values: (bigint | undefined)[];
	private innermost = true;
	private words = WORDS_IN_ALL;

	constructor({ regs, codeBase, stackBase }: StackRegisters, bits: 32 | 64, read: MemoryReader, symbols: Symbols) {
		this.bits = bits;
		this.width = bits === 64 ? 8 : 4;
		this.mask = bits === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
		this.machine = bits === 64 ? "x86-64" : "i386";
		this.codeBase = codeBase;
		this.stackBase = stackBase;
		this.read = read;
		this.symbols = symbols;
		this.pc = regs.rip & this.mask;
		this.values = ORDER[this.machine].map((name) => regs[name] & this.mask);
	}

	get address(): bigint {
		return (this.codeBase + this.pc) & this.mask;
	}

	up(): Frame["how"] | undefined {
		const how = this.byTables() ?? (this.innermost ? this.atEntry() : undefined) ?? this.byPointer() ?? this.byScan();
		this.innermost = false;
		return how === "outermost" ? undefined : how;
	}

	private get sp(): bigint | undefined {
		return this.values[STACK[this.machine].sp];
	}

	private get bp(): bigint | undefined {
		return this.values[STACK[this.machine].bp];
	}

	private byTables(): "cfi" | "outermost" | undefined {
		if (this.symbols.caller === undefined || this.codeBase !== 0n || this.stackBase !== 0n) return undefined;
		const registers: UnwindRegisters = { machine: this.machine, pc: this.pc, values: this.values };
		const caller = this.symbols.caller(registers, !this.innermost, this.read);
		if (caller === undefined || caller === "outermost") return caller;
		const sp = caller.values[STACK[this.machine].sp];
		// A stack that does not shrink would never end.
		if (sp === undefined || this.sp === undefined || sp <= this.sp) return undefined;
		if (caller.pc === 0n) return "outermost";
		[this.pc, this.values] = [caller.pc, [...caller.values]];
		return "cfi";
	}

	/** Before a function has its frame, or when it has none any more, the return address is on top or one below. */
	private atEntry(): "frame-pointer" | undefined {
		const { sp } = this;
		if (sp === undefined) return undefined;
		const code = this.read(this.address, 1)?.[0];
		const before = this.address === 0n ? undefined : this.read(this.address - 1n, 1)?.[0];
		const atStart = startOf(this.symbols, this.address) === this.address;
		const depth =
			code === PUSH_BP || atStart || (code !== undefined && RET.includes(code)) ? 0 : before === PUSH_BP ? 1 : -1;
		if (depth < 0) return undefined;
		const at = sp + BigInt(depth * this.width);
		if (!this.returnsTo(at)) return undefined;
		this.enter(at, depth === 0 ? this.bp : this.word(sp));
		return "frame-pointer";
	}

	private byPointer(): "frame-pointer" | undefined {
		const { sp, bp } = this;
		const width = BigInt(this.width);
		if (sp === undefined || bp === undefined || bp < sp || bp - sp > LARGEST_FRAME || bp % width !== 0n)
			return undefined;
		if (!this.returnsTo(bp + width)) return undefined;
		this.enter(bp + width, this.word(bp));
		return "frame-pointer";
	}

	/** What looks like a return address, and of those rather one whose call leads here, where that can be told. */
	private byScan(): "scan" | undefined {
		const { sp, address } = this;
		if (sp === undefined) return undefined;
		let other: bigint | undefined;
		for (let n = 0; n < WORDS_A_FRAME && this.words > 0; n++, this.words--) {
			const at = sp + BigInt(n * this.width);
			const pc = this.word(at);
			if (pc === undefined) break;
			const call = pc === 0n ? undefined : callBefore(this.read, this.codeBase, pc, this.bits);
			if (call?.kind !== "near") continue;
			if (leadsTo(this.symbols, call.target === undefined ? undefined : this.codeBase + call.target, address)) {
				this.enter(at, this.bp);
				return "scan";
			}
			other ??= at;
		}
		if (other === undefined) return undefined;
		this.enter(other, this.bp);
		return "scan";
	}

	private word(at: bigint): bigint | undefined {
		const bytes = this.read((this.stackBase + at) & this.mask, this.width);
		return bytes && wordIn(bytes);
	}

	private returnsTo(at: bigint): boolean {
		const pc = this.word(at);
		return pc !== undefined && pc !== 0n && callBefore(this.read, this.codeBase, pc, this.bits)?.kind === "near";
	}

	/** The frame whose address was stored at `at`, above which its own stack begins. */
	private enter(at: bigint, bp: bigint | undefined): void {
		this.pc = this.word(at) ?? 0n;
		this.values = this.values.map(() => undefined);
		this.values[STACK[this.machine].sp] = at + BigInt(this.width);
		this.values[STACK[this.machine].bp] = bp;
	}
}

/** Real mode, virtual-8086 mode and 16-bit protected mode, where only near calls can be followed. */
class SegmentedStack implements Walker {
	private readonly hasParagraphs: boolean;
	private readonly stackBase: bigint;
	private readonly stackMask: bigint;
	private readonly read: MemoryReader;
	private readonly symbols: Symbols;
	private codeBase: bigint;
	private pc: bigint;
	private sp: bigint;
	private bp: bigint;
	private words = WORDS_IN_ALL;

	constructor({ regs, mode, codeBase, stackBase, stackBits }: StackRegisters, read: MemoryReader, symbols: Symbols) {
		this.hasParagraphs = mode === "real" || mode === "v86";
		this.stackMask = stackBits === 16 ? 0xffffn : 0xffff_ffffn;
		this.stackBase = stackBase;
		this.codeBase = codeBase;
		this.read = read;
		this.symbols = symbols;
		this.pc = regs.rip & 0xffffn;
		this.sp = regs.rsp & this.stackMask;
		this.bp = regs.rbp & this.stackMask;
	}

	get address(): bigint {
		return (this.codeBase + this.pc) & 0xffff_ffffn;
	}

	up(): Frame["how"] | undefined {
		return this.byPointer() ?? this.byScan();
	}

	private byPointer(): "frame-pointer" | undefined {
		const { sp, bp } = this;
		if (bp < sp || bp === 0n) return undefined;
		for (const width of [2, 4] as const) {
			const saved = this.number(bp, width);
			if (saved === undefined || !this.take(bp + BigInt(width), width, false)) continue;
			this.bp = saved & this.stackMask;
			return "frame-pointer";
		}
		return undefined;
	}

	private byScan(): "scan" | undefined {
		const first = this.sp;
		for (const strict of [true, false]) {
			for (let n = 0; n < WORDS_A_FRAME && this.words > 0; n++, this.words--) {
				const at = first + BigInt(n * 2);
				if (at > this.stackMask) break;
				// Code compiled for 32-bit operands returns to four bytes of which two are 0.
				if (this.take(at, 4, strict) || this.take(at, 2, strict)) return "scan";
			}
		}
		return undefined;
	}

	/** Goes to the frame whose return address of `width` bytes is at `at`, where there is one. */
	private take(at: bigint, width: 2 | 4, strict: boolean): boolean {
		const pc = this.number(at, width);
		if (pc === undefined || pc === 0n || pc > 0xffffn) return false;
		const next = at + BigInt(width);
		const near = callBefore(this.read, this.codeBase, pc, 16);
		const leads = (): boolean =>
			!strict ||
			leadsTo(this.symbols, near?.target === undefined ? undefined : this.codeBase + near.target, this.address);
		if (near?.kind === "near" && near.width === width && leads()) return this.enter(pc, this.codeBase, next);
		const segment = this.hasParagraphs && width === 2 ? this.number(next, 2) : undefined;
		if (segment === undefined) return false;
		const far = callBefore(this.read, segment << 4n, pc, 16);
		if (far?.kind === "far") return this.enter(pc, segment << 4n, next + 2n);
		// Behind CS lie the flags.
		return far?.kind === "interrupt" && this.enter(pc, segment << 4n, next + 4n);
	}

	private enter(pc: bigint, codeBase: bigint, sp: bigint): true {
		[this.pc, this.codeBase, this.sp] = [pc, codeBase, sp];
		return true;
	}

	private number(at: bigint, width: 2 | 4): bigint | undefined {
		if (at + BigInt(width - 1) > this.stackMask) return undefined;
		const bytes = this.read((this.stackBase + at) & 0xffff_ffffn, width);
		return bytes && wordIn(bytes);
	}
}
