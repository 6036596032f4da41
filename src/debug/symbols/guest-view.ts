import type { Vcpu } from "../../kvm/vcpu.ts";
import type { Regs } from "../../kvm/vcpu-registers.ts";
import type { CodeMode } from "../rom-write.ts";
import type { MemoryReader } from "./symbols.ts";

/** What a call stack starts from. */
export interface StackRegisters {
	/** General registers and RIP as the processor has them: RIP, RSP and RBP are offsets in their segments. */
	readonly regs: Readonly<Regs>;
	readonly mode: CodeMode;
	/** Linear base of CS. */
	readonly codeBase: bigint;
	/** Linear base of SS. */
	readonly stackBase: bigint;
	/** How much of RSP and RBP counts. */
	readonly stackBits: 16 | 32 | 64;
}

/** Where an operating system has its entries. */
export interface SystemEntries {
	/** Linear. */
	readonly idtBase: bigint;
	/** Bytes less one. */
	readonly idtLimit: number;
	/** IA32_LSTAR; 0 where the processor has none. */
	readonly lstar: bigint;
}

/** A guest as a debugger sees it, between two of its instructions. Looking changes nothing. */
export interface GuestView {
	readonly read: MemoryReader;
	registers(): StackRegisters;
	entries(): SystemEntries;
}

const CR0_PE = 1n;
const EFER_LMA = 1n << 10n;
const RFLAGS_VM = 1n << 17n;
const IA32_LSTAR = 0xc000_0082;

/** The view of one processor. */
export function viewOf(vcpu: Vcpu): GuestView {
	return {
		read: (address, length) => vcpu.peek(address, length),
		registers: () => registersOf(vcpu),
		entries: () => {
			const { idt } = vcpu.getSregs();
			const lstar = { index: IA32_LSTAR, data: 0n };
			vcpu.getMsrs([lstar]);
			return { idtBase: idt.base, idtLimit: idt.limit, lstar: lstar.data };
		},
	};
}

function registersOf(vcpu: Vcpu): StackRegisters {
	const regs = vcpu.getRegs();
	const { cs, ss, cr0, efer } = vcpu.getSregs();
	const long = (efer & EFER_LMA) !== 0n && cs.l === 1;
	const mode = long
		? "long"
		: (cr0 & CR0_PE) === 0n
			? "real"
			: (regs.rflags & RFLAGS_VM) !== 0n
				? "v86"
				: cs.db === 1
					? "prot32"
					: "prot16";
	return {
		regs,
		mode,
		codeBase: long ? 0n : cs.base,
		stackBase: long ? 0n : ss.base,
		stackBits: long ? 64 : ss.db === 1 ? 32 : 16,
	};
}
