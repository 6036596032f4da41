import type { Vcpu } from "../../kvm/vcpu.ts";
import type { Fpu } from "../../kvm/vcpu-fpu.ts";
import type { Regs } from "../../kvm/vcpu-registers.ts";
import type { KvmSegment, Sregs } from "../../kvm/vcpu-sregs.ts";
import { fromBytes, toBytes } from "./packets.ts";
import { loadSegment } from "./segment-load.ts";

/** One register as a debugger has it. */
export interface Register {
	readonly name: string;
	readonly bits: 32 | 64 | 80 | 128;
	/** Its type in the target description. */
	readonly type: string;
	readonly group: "general" | "system" | "float" | "vector";
	/** The feature of the target description that it belongs to, without `org.gnu.gdb.i386.`. */
	readonly feature: "core" | "sse" | "avx" | "segments";
	read(vcpu: Vcpu): bigint;
	/** @returns whether the processor took it. */
	write(vcpu: Vcpu, value: bigint): boolean;
}

/** How instruction pointers are shown: as addresses, with the base of CS, or as the processor has them. */
export interface PcForm {
	linear: boolean;
}

/** Names of GDB's. */
export const ARCHITECTURES = ["i8086", "i386", "i386:x86-64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

const KERNEL_GS_BASE = 0xc000_0102;
const XSAVE_AVX = 576;
const XSAVE_HEADER = 512;
const XSAVE_AVX_BIT = 4n;

const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
const done = (result: unknown): boolean => result === 0;

function general(name: string, key: keyof Regs, bits: 32 | 64, type: string): Register {
	return {
		...{ name, bits, type, group: "general", feature: "core" },
		read: (vcpu) => vcpu.getRegs()[key] & mask(bits),
		write: (vcpu, value) => done(vcpu.setRegs({ ...vcpu.getRegs(), [key]: value })),
	};
}

/** Linear address of offset 0 of the code segment: 0 in 64-bit mode. */
export function codeBase(sregs: Sregs): bigint {
	return sregs.cs.l === 1 && (sregs.efer & 0x400n) !== 0n ? 0n : sregs.cs.base;
}

function pointer(bits: 32 | 64, form: PcForm): Register {
	return {
		...{ name: bits === 64 ? "rip" : "eip", bits, type: "code_ptr", group: "general", feature: "core" },
		read: (vcpu) => (form.linear ? vcpu.linearIp : vcpu.getRegs().rip) & mask(bits),
		write(vcpu, value) {
			const base = form.linear ? codeBase(vcpu.getSregs()) : 0n;
			const rip = base === 0n ? value : (value - base) & 0xffff_ffffn;
			return done(vcpu.setRegs({ ...vcpu.getRegs(), rip }));
		},
	};
}

function segment(name: "cs" | "ss" | "ds" | "es" | "fs" | "gs"): Register {
	return {
		...{ name, bits: 32, type: "int32", group: "general", feature: "core" },
		read: (vcpu) => BigInt(vcpu.getSregs()[name].selector),
		write: (vcpu, value) => value <= 0xffffn && loadSegment(vcpu, name, Number(value)),
	};
}

function base(name: "fs_base" | "gs_base", bits: 32 | 64): Register {
	const key = name === "fs_base" ? "fs" : "gs";
	return {
		...{ name, bits, type: bits === 64 ? "int64" : "int32", group: "general" },
		// GDB 13 for 32-bit Linux has no room for that feature's registers.
		feature: bits === 64 ? "segments" : "core",
		read: (vcpu) => vcpu.getSregs()[key].base & mask(bits),
		write(vcpu, value) {
			const sregs = vcpu.getSregs();
			const changed: KvmSegment = { ...sregs[key], base: value };
			return done(vcpu.setSregs({ ...sregs, [key]: changed }));
		},
	};
}

function control(name: "cr0" | "cr2" | "cr3" | "cr4" | "cr8" | "efer", bits: 32 | 64): Register {
	const flags = name === "cr0" || name === "cr4" || name === "efer";
	return {
		...{ name, bits, group: "system", feature: "core" },
		type: flags ? `x86_${name}` : `int${bits}`,
		read: (vcpu) => vcpu.getSregs()[name] & mask(bits),
		write: (vcpu, value) => done(vcpu.setSregs({ ...vcpu.getSregs(), [name]: value })),
	};
}

function kernelGsBase(bits: 32 | 64): Register {
	return {
		...{ name: "k_gs_base", bits, type: bits === 64 ? "int64" : "int32", group: "system", feature: "core" },
		read(vcpu) {
			const msr = { index: KERNEL_GS_BASE, data: 0n };
			vcpu.getMsrs([msr]);
			return msr.data & mask(bits);
		},
		write: (vcpu, data) => vcpu.setMsrs([{ index: KERNEL_GS_BASE, data }]) === 1,
	};
}

function float(n: number): Register {
	return {
		...{ name: `st${n}`, bits: 80, type: "i387_ext", group: "float", feature: "core" },
		read: (vcpu) => fromBytes(vcpu.getFpu().fpr[n]!.subarray(0, 10)),
		write(vcpu, value) {
			const fpu = vcpu.getFpu();
			fpu.fpr[n]!.set(toBytes(value, 10));
			return done(vcpu.setFpu(fpu));
		},
	};
}

interface FloatControl {
	readonly name: string;
	read(fpu: Fpu): bigint;
	/** What of the state changes. */
	write(fpu: Fpu, value: bigint): Partial<Fpu>;
}

const half = (value: bigint, low: bigint): bigint => (value << 32n) | (low & mask(32));

const FLOAT_CONTROL: readonly FloatControl[] = [
	{ name: "fctrl", read: ({ fcw }) => BigInt(fcw), write: (_, value) => ({ fcw: Number(value & 0xffffn) }) },
	{ name: "fstat", read: ({ fsw }) => BigInt(fsw), write: (_, value) => ({ fsw: Number(value & 0xffffn) }) },
	{
		name: "ftag",
		read: (fpu) => BigInt(tagWord(fpu)),
		write: (_, value) => ({ ftwx: notEmpty(Number(value & 0xffffn)) }),
	},
	{
		name: "fiseg",
		read: ({ lastIp }) => lastIp >> 32n,
		write: ({ lastIp }, value) => ({ lastIp: half(value, lastIp) }),
	},
	{
		name: "fioff",
		read: ({ lastIp }) => lastIp,
		write: ({ lastIp }, value) => ({ lastIp: half(lastIp >> 32n, value) }),
	},
	{
		name: "foseg",
		read: ({ lastDp }) => lastDp >> 32n,
		write: ({ lastDp }, value) => ({ lastDp: half(value, lastDp) }),
	},
	{
		name: "fooff",
		read: ({ lastDp }) => lastDp,
		write: ({ lastDp }, value) => ({ lastDp: half(lastDp >> 32n, value) }),
	},
	{
		name: "fop",
		read: ({ lastOpcode }) => BigInt(lastOpcode),
		write: (_, value) => ({ lastOpcode: Number(value & 0x7ffn) }),
	},
];

/** The full tag word: two bits for each physical register, 3 empty, 1 zero, 2 special, 0 any other number (SDM 1 8.1.7). */
function tagWord({ fpr, fsw, ftwx }: Fpu): number {
	const top = (fsw >> 11) & 7;
	let word = 0;
	for (let n = 0; n < 8; n++) {
		const physical = (top + n) & 7;
		const value = fpr[n]!;
		const exponent = (value[8]! | (value[9]! << 8)) & 0x7fff;
		const significand = fromBytes(value.subarray(0, 8));
		const zero = exponent === 0 && significand === 0n;
		const normal = exponent !== 0 && exponent !== 0x7fff && significand >> 63n === 1n;
		const tag = ((ftwx >> physical) & 1) === 0 ? 3 : zero ? 1 : normal ? 0 : 2;
		word |= tag << (2 * physical);
	}
	return word;
}

function notEmpty(word: number): number {
	let bits = 0;
	for (let n = 0; n < 8; n++) if (((word >> (2 * n)) & 3) !== 3) bits |= 1 << n;
	return bits;
}

function vector(n: number): Register {
	return {
		...{ name: `xmm${n}`, bits: 128, type: "vec128", group: "vector", feature: "sse" },
		read: (vcpu) => fromBytes(vcpu.getFpu().xmm[n]!),
		write(vcpu, value) {
			const fpu = vcpu.getFpu();
			fpu.xmm[n]!.set(toBytes(value, 16));
			return done(vcpu.setFpu(fpu));
		},
	};
}

/** The upper half of a YMM register. */
function upper(n: number): Register {
	const at = XSAVE_AVX + n * 16;
	return {
		...{ name: `ymm${n}h`, bits: 128, type: "uint128", group: "vector", feature: "avx" },
		read: (vcpu) => fromBytes(vcpu.getXsave().subarray(at, at + 16)),
		write(vcpu, value) {
			const region = vcpu.getXsave();
			// Only what the header names counts: all that there is.
			const header = new DataView(region.buffer, region.byteOffset);
			header.setBigUint64(XSAVE_HEADER, header.getBigUint64(XSAVE_HEADER, true) | 3n | XSAVE_AVX_BIT, true);
			region.set(toBytes(value, 16), at);
			return done(vcpu.setXsave(region));
		},
	};
}

const MXCSR: Register = {
	...{ name: "mxcsr", bits: 32, type: "i386_mxcsr", group: "vector", feature: "sse" },
	read: (vcpu) => BigInt(vcpu.getFpu().mxcsr),
	write: (vcpu, value) => done(vcpu.setFpu({ ...vcpu.getFpu(), mxcsr: Number(value) })),
};

const GENERAL: readonly (keyof Regs)[] = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"];
const GENERAL32: readonly (keyof Regs)[] = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];
const HIGH: readonly (keyof Regs)[] = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

/** All registers of a description, in the order of their numbers, which is that of a `g` packet. */
export function registersOf(architecture: Architecture, form: PcForm, avx: boolean): readonly Register[] {
	const long = architecture === "i386:x86-64";
	const bits = long ? 64 : 32;
	const stack = (key: keyof Regs): string => (key === "rsp" || key === "rbp" ? "data_ptr" : `int${bits}`);
	const integers = long
		? [...GENERAL, ...HIGH].map((key) => general(key, key, 64, stack(key)))
		: GENERAL32.map((key) => general(`e${key.slice(1)}`, key, 32, stack(key)));
	const vectors = Array.from({ length: long ? 16 : 8 }, (_, n) => n);
	return [
		...integers,
		pointer(bits, form),
		general("eflags", "rflags", 32, "i386_eflags"),
		...(["cs", "ss", "ds", "es", "fs", "gs"] as const).map(segment),
		...vectors.slice(0, 8).map(float),
		...FLOAT_CONTROL.map(
			({ name, read, write }): Register => ({
				...{ name, bits: 32, type: "int", group: "float", feature: "core" },
				read: (vcpu) => read(vcpu.getFpu()) & mask(32),
				write(vcpu, value) {
					const fpu = vcpu.getFpu();
					return done(vcpu.setFpu({ ...fpu, ...write(fpu, value) }));
				},
			}),
		),
		...(["cr0", "cr2", "cr3", "cr4", "cr8", "efer"] as const).map((name) => control(name, bits)),
		kernelGsBase(bits),
		base("fs_base", bits),
		base("gs_base", bits),
		...vectors.map(vector),
		MXCSR,
		...(avx ? vectors.map(upper) : []),
	];
}
