import { assert } from "../base/errors.ts";
import type { Vcpu } from "../kvm/vcpu.ts";
import type { Regs } from "../kvm/vcpu-registers.ts";
import type { KvmDtable, KvmSegment } from "../kvm/vcpu-sregs.ts";
import type { LoadMap } from "./load-map.ts";

/** What a boot protocol has in the registers when the first instruction runs. Registers that it does not name are 0. */
export interface StartState {
	/** 16: real mode; 32: protected mode without paging, flat; 64: long mode, the first 4 GiB mapped to themselves. */
	readonly bits: 16 | 32 | 64;
	/** Physical address of the first instruction. In real mode CS is `address >> 4`, unless {@link realSegment} says otherwise. */
	readonly entry: number;
	readonly registers?: Partial<Record<keyof Regs, number>>;
	/** Real mode: CS, with IP the rest of the address. The other segments are `dataSegment`, or the same. */
	readonly codeSegment?: number;
	readonly dataSegment?: number;
}

/** A start state whose tables are in the load map. */
export interface Start extends StartState {
	readonly gdt: number;
	readonly pageTables: number | undefined;
}

/** Selectors as Linux wants them, __BOOT_CS, __BOOT_DS and __BOOT_TSS (Documentation/arch/x86/boot.rst); the others take any. */
const CODE = 0x10;
const DATA = 0x18;
const TSS = 0x20;
const GDT_SIZE = 0x30;
const TSS_LIMIT = 0x67;

const PAGE = 4096;
const LARGE_PAGE = 2 ** 21;
const TABLE_ENTRIES = 512;
const DIRECTORIES = 4;
/** Present, writable. */
const TABLE_ENTRY = 0x3;
/** Present, writable, 2 MiB. */
const LARGE_ENTRY = 0x83;
const STACK_SIZE = 8 * 1024;

const CR0_PE = 1n;
const CR0_ET = 1n << 4n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
const RFLAGS_FIXED = 2n;

/** Puts the tables that a start state needs into RAM. ESP is the top of a stack of 8 KiB where the protocol says nothing of it. */
export function prepareStart(map: LoadMap, state: StartState): Start {
	if (state.bits === 16) return { ...state, gdt: 0, pageTables: undefined };
	const what = "the processor's tables";
	const gdt = map.allocate(what, descriptors(state.bits));
	const stack = map.allocate(what, new Uint8Array(STACK_SIZE));
	let pageTables: number | undefined;
	if (state.bits === 64) {
		const bytes = new Uint8Array((2 + DIRECTORIES) * PAGE);
		pageTables = map.allocate(what, bytes, { align: PAGE });
		identityMap(bytes, pageTables);
	}
	return { ...state, gdt, pageTables, registers: { rsp: stack + STACK_SIZE, ...state.registers } };
}

/** Gives a processor after reset its start state. */
export function startVcpu(vcpu: Vcpu, start: Start): void {
	const { bits, entry } = start;
	const sregs = vcpu.getSregs();
	if (bits === 16) {
		const segment = start.codeSegment ?? entry >> 4;
		const data = realSegment(start.dataSegment ?? segment);
		Object.assign(sregs, {
			cs: { ...realSegment(segment), type: 0xb },
			ds: data,
			es: data,
			fs: data,
			gs: data,
			ss: data,
		});
	} else {
		const data = flatSegment(DATA, 0x3, 1);
		const code = { ...flatSegment(CODE, 0xb, bits === 32 ? 1 : 0), l: bits === 64 ? 1 : 0 };
		Object.assign(sregs, { cs: code, ds: data, es: data, fs: data, gs: data, ss: data });
		sregs.tr = { ...flatSegment(TSS, 0xb, 0), limit: TSS_LIMIT, s: 0, g: 0 };
		sregs.gdt = { base: BigInt(start.gdt), limit: GDT_SIZE - 1 };
		sregs.idt = { base: 0n, limit: 0 } satisfies KvmDtable;
		sregs.cr0 = CR0_PE | CR0_ET;
	}
	if (start.pageTables !== undefined) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = BigInt(start.pageTables);
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	const taken = vcpu.setSregs(sregs);
	assert(taken === 0, `start state: ${taken}`);
	const registers = vcpu.getRegs();
	for (const name of Object.keys(registers) as (keyof Regs)[]) registers[name] = BigInt(start.registers?.[name] ?? 0);
	registers.rip = BigInt(bits === 16 ? entry - Number(sregs.cs.base) : entry);
	registers.rflags = RFLAGS_FIXED;
	const given = vcpu.setRegs(registers);
	assert(given === 0, `start state: ${given}`);
}

function flatSegment(selector: number, type: number, db: number): KvmSegment {
	const granular = { present: 1, dpl: 0, db, s: 1, l: 0, g: 1, avl: 0, unusable: 0 };
	return { base: 0n, limit: 0xffff_ffff, selector, type, ...granular };
}

function realSegment(selector: number): KvmSegment {
	const bytes = { present: 1, dpl: 0, db: 0, s: 1, l: 0, g: 0, avl: 0, unusable: 0 };
	return { base: BigInt(selector * 16), limit: 0xffff, selector, type: 3, ...bytes };
}

/** Code at 0x10, data at 0x18, a busy TSS at 0x20 (16 bytes of it in long mode). */
function descriptors(bits: 32 | 64): Uint8Array {
	const table = new Uint8Array(GDT_SIZE);
	const view = new DataView(table.buffer);
	view.setBigUint64(CODE, bits === 64 ? 0x00af_9b00_0000_ffffn : 0x00cf_9b00_0000_ffffn, true);
	view.setBigUint64(DATA, 0x00cf_9300_0000_ffffn, true);
	view.setBigUint64(TSS, 0x0000_8b00_0000_0000n | BigInt(TSS_LIMIT), true);
	return table;
}

/** A PML4, a page-directory-pointer table and four directories of 2 MiB pages. */
function identityMap(bytes: Uint8Array, address: number): void {
	const view = new DataView(bytes.buffer);
	const entry = (table: number, index: number, value: number): void =>
		view.setBigUint64(table * PAGE + index * 8, BigInt(value), true);
	entry(0, 0, address + PAGE + TABLE_ENTRY);
	for (let n = 0; n < DIRECTORIES; n++) {
		entry(1, n, address + (2 + n) * PAGE + TABLE_ENTRY);
		for (let i = 0; i < TABLE_ENTRIES; i++) entry(2 + n, i, (n * TABLE_ENTRIES + i) * LARGE_PAGE + LARGE_ENTRY);
	}
}
