import type { Vcpu } from "../../kvm/vcpu.ts";
import type { KvmSegment } from "../../kvm/vcpu-sregs.ts";
import type { CodeMode } from "../rom-write.ts";
import { MODES } from "../rom-writes/words.ts";
import { viewOf } from "../symbols/guest-view.ts";

const GENERAL = [
	"rax",
	"rbx",
	"rcx",
	"rdx",
	"rsi",
	"rdi",
	"rbp",
	"rsp",
	"r8",
	"r9",
	"r10",
	"r11",
	"r12",
	"r13",
	"r14",
	"r15",
] as const;
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr"] as const;
/** Model-specific registers that say where an operating system is entered (SDM 4 table 2-2). */
const MSRS: readonly (readonly [name: string, index: number])[] = [
	["SYSENTER_EIP", 0x176],
	["STAR", 0xc000_0081],
	["LSTAR", 0xc000_0082],
	["FMASK", 0xc000_0084],
	["KERNEL_GS_BASE", 0xc000_0102],
];
const FLAGS = "C.P.A.ZSTIDO";

export const hex = (value: number | bigint, digits = 1): string => value.toString(16).padStart(digits, "0");

export function codeMode(vcpu: Vcpu): CodeMode {
	return viewOf(vcpu).registers().mode;
}

/** The mode of the processor in words. */
export function modeText(vcpu: Vcpu): string {
	return MODES[codeMode(vcpu)];
}

function segmentLine(
	name: string,
	{ selector, base, limit, type, s, dpl, present, db, l, unusable }: KvmSegment,
): string {
	const size = l === 1 ? "64" : db === 1 ? "32" : "16";
	const kind = s === 0 ? `system type ${hex(type)}` : (type & 8) !== 0 ? `code${size}` : `data${size}`;
	const rights =
		unusable === 1 ? "unusable" : `${kind}, type ${hex(type)}, DPL ${dpl}${present === 1 ? "" : ", not present"}`;
	return `${name.toUpperCase().padEnd(3)} ${hex(selector, 4)} base ${hex(base, 16)} limit ${hex(limit, 8)} ${rights}`;
}

/** The whole of a processor that GDB's own registers do not show, for people. */
export function systemText(vcpu: Vcpu): readonly string[] {
	const regs = vcpu.getRegs();
	const sregs = vcpu.getSregs();
	const { db, dr6, dr7 } = vcpu.getDebugRegs();
	const events = vcpu.getVcpuEvents();
	const lines: string[] = [];
	for (let n = 0; n < GENERAL.length; n += 4) {
		lines.push(
			GENERAL.slice(n, n + 4)
				.map((name) => `${name.toUpperCase().padEnd(3)}=${hex(regs[name], 16)}`)
				.join(" "),
		);
	}
	const flags = [...FLAGS].map((flag, bit) => (((regs.rflags >> BigInt(bit)) & 1n) === 1n ? flag : "-"));
	const cpl = sregs.ss.dpl;
	lines.push(
		`RIP=${hex(regs.rip, 16)} RFL=${hex(regs.rflags, 8)} [${flags.reverse().join("")}] CPL=${cpl}, ${modeText(vcpu)}`,
	);
	for (const name of SEGMENTS) lines.push(segmentLine(name, sregs[name]));
	lines.push(`GDT      base ${hex(sregs.gdt.base, 16)} limit ${hex(sregs.gdt.limit, 8)}`);
	lines.push(`IDT      base ${hex(sregs.idt.base, 16)} limit ${hex(sregs.idt.limit, 8)}`);
	const { cr0, cr2, cr3, cr4, cr8, efer } = sregs;
	lines.push(`CR0=${hex(cr0, 8)} CR2=${hex(cr2, 16)} CR3=${hex(cr3, 16)} CR4=${hex(cr4, 8)} CR8=${hex(cr8)}`);
	lines.push(`${db.map((value, n) => `DR${n}=${hex(value, 16)}`).join(" ")} DR6=${hex(dr6, 8)} DR7=${hex(dr7, 8)}`);
	lines.push(`EFER=${hex(efer, 8)} APIC base=${hex(sregs.apicBase, 8)}`);
	const msrs = MSRS.map(([name, index]) => ({ name, index, data: 0n })).filter((msr) => vcpu.getMsrs([msr]) === 1);
	lines.push(msrs.map(({ name, data }) => `${name}=${hex(data, 16)}`).join(" "));
	if (events.nmi.pending || events.nmi.masked)
		lines.push(`NMI ${events.nmi.pending ? "pending" : ""}${events.nmi.masked ? "masked" : ""}`);
	return lines;
}
