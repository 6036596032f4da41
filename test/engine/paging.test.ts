import { describe, expect, it } from "vitest";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type EngineName, type GuestOptions, TestGuest } from "../support/engine.ts";
import { enterUserMode, faultOf, installFaultTable } from "../support/fault-table.ts";

const HLT = 0xf4;
const PF = 14;
const ROUNDS = 30;
const FORMATS = ["32-bit", "PAE"] as const;
type Format = (typeof FORMATS)[number];

const [PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, GLOBAL] = [1n, 2n, 4n, 0x20n, 0x40n, 0x80n, 0x100n];
const NO_EXECUTE = 1n << 63n;
const ALL = PRESENT | WRITE | USER;
const [CR4_PSE, CR4_PAE, CR4_PGE] = [0x10n, 0x20n, 0x80n];
const CR0_WP = 0x10000n;
/** Physical addresses of the tables. */
const DIRECTORY = 0x80000;
const POINTERS = 0x81000;
const LOW_TABLE = 0x82000;
const HIGH_TABLE = 0x83000;
/** Linear addresses from here on are {@link HIGH_TABLE}'s. */
const HIGH = 0x400000;
const STACK0 = 0x7f00;

function little32(value: number): number[] {
	return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

const mov = (register: number, value: number): number[] => [0xb8 + register, ...little32(value)];

/** A guest with paging: the first two megabytes are mapped to themselves, {@link HIGH} is for the tests. */
class PagedGuest {
	readonly guest: TestGuest;
	readonly view: DataView;
	private readonly format: Format;

	static async create(
		engine: EngineName,
		format: Format,
		options: GuestOptions,
		{ user = false, cr4 = 0n, cr0 = CR0_WP, efer = 0n } = {},
	): Promise<PagedGuest> {
		const guest = await TestGuest.create(engine, { ram: 0x200000, ...options });
		installFaultTable(guest);
		const paged = new PagedGuest(guest, format);
		const { processor } = guest;
		processor.set64(F.cr4, cr4 | (format === "PAE" ? CR4_PAE : 0n));
		processor.set64(F.cr0, processor.get64(F.cr0) | 0x80000000n | cr0);
		processor.set64(F.efer, efer);
		if (user) enterUserMode(guest);
		else processor.refresh();
		return paged;
	}

	private constructor(guest: TestGuest, format: Format) {
		this.guest = guest;
		this.format = format;
		this.view = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		const { processor } = guest;
		this.setEntry(DIRECTORY, 0, BigInt(LOW_TABLE) | ALL);
		this.setEntry(DIRECTORY, format === "PAE" ? 2 : 1, BigInt(HIGH_TABLE) | ALL);
		for (let page = 0; page < 512; page++) this.setEntry(LOW_TABLE, page, BigInt(page * 4096) | ALL);
		this.view.setBigUint64(POINTERS, BigInt(DIRECTORY) | PRESENT, true);
		processor.set64(F.pdpte, BigInt(DIRECTORY) | PRESENT);
		for (const n of [1, 2, 3]) processor.set64(F.pdpte, 0n, n * 8);
		processor.set64(F.cr3, BigInt(this.root));
	}

	/** What CR3 holds. */
	get root(): number {
		return this.format === "PAE" ? POINTERS : DIRECTORY;
	}

	private get entryBytes(): number {
		return this.format === "PAE" ? 8 : 4;
	}

	/** Number of the directory entry for {@link HIGH}. */
	get highEntry(): number {
		return this.format === "PAE" ? 2 : 1;
	}

	entryAt(table: number, index: number): number {
		return table + index * this.entryBytes;
	}

	setEntry(table: number, index: number, value: bigint): void {
		const at = this.entryAt(table, index);
		if (this.format === "PAE") this.view.setBigUint64(at, value, true);
		else this.view.setUint32(at, Number(value), true);
	}

	entry(table: number, index: number): bigint {
		const at = this.entryAt(table, index);
		return this.format === "PAE" ? this.view.getBigUint64(at, true) : BigInt(this.view.getUint32(at, true));
	}

	/** Maps page `index` of {@link HIGH}. */
	map(index: number, value: bigint): void {
		this.setEntry(HIGH_TABLE, index, value);
	}

	/** Runs to a page fault. @returns its error code, CR2 and the address of the instruction. */
	pageFault(): { code: number; cr2: number; eip: number } {
		expect(faultOf(this.guest)).toBe(PF);
		const { processor } = this.guest;
		const esp = this.guest.register("esp");
		return {
			code: this.view.getUint32(esp, true),
			cr2: Number(processor.get64(F.cr2)),
			eip: this.view.getUint32(esp + 4, true),
		};
	}
}

/** Op on [esi] until it is hot, then once more with ESI = `bad`. */
function hotThenBad(operation: readonly number[], bad: number): number[] {
	const loop = [...operation, 0x49, 0x75, 0];
	loop[loop.length - 1] = 256 - loop.length;
	const code = [...loop, 0xbe, ...little32(bad), 0x41, 0xeb, 0];
	code[code.length - 1] = 256 - code.length;
	return code;
}

const READ = [0x8b, 0x06];
const STORE = [0x89, 0x06];
const ADD = [0x01, 0x06];

describe.each(ENGINES)("page faults on the %s", (engine) => {
	describe.each(FORMATS)("with %s paging", (format) => {
		it.each([
			{ name: "a read of an absent page at CPL 0", operation: READ, user: false, entry: 0n, code: 0 },
			{ name: "a store to an absent page at CPL 0", operation: STORE, user: false, entry: 0n, code: 2 },
			{ name: "a read of an absent page at CPL 3", operation: READ, user: true, entry: 0n, code: 4 },
			{ name: "a store to an absent page at CPL 3", operation: STORE, user: true, entry: WRITE | USER, code: 6 },
			{ name: "ADD to memory of an absent page at CPL 3", operation: ADD, user: true, entry: 0n, code: 6 },
			{ name: "a read of a supervisor page at CPL 3", operation: READ, user: true, entry: PRESENT | WRITE, code: 5 },
			{ name: "a store to a readonly page at CPL 3", operation: STORE, user: true, entry: PRESENT | USER, code: 7 },
			{ name: "ADD to a readonly page at CPL 3", operation: ADD, user: true, entry: PRESENT | USER, code: 7 },
			{ name: "a store to a readonly page at CPL 0", operation: STORE, user: false, entry: PRESENT | USER, code: 3 },
		])("$name: the error code, CR2, and nothing done", async ({ operation, user, entry, code }) => {
			const address = HIGH + 0x1234;
			const paged = await PagedGuest.create(
				engine,
				format,
				{ code: hotThenBad(operation, address), registers: { esi: 0x30000, ecx: ROUNDS, eax: 5 } },
				{ user },
			);
			paged.map(1, 0x100000n | entry);
			expect(paged.pageFault()).toEqual({ code, cr2: address, eip: 0x1000 });
			expect(paged.guest.register("ecx")).toBe(1);
			expect(paged.view.getUint32(0x100234, true)).toBe(0);
		});

		it.each([
			{ name: "the directory entry forbids writing", directory: PRESENT | USER, code: 7, operation: STORE },
			{ name: "the directory entry is a supervisor's", directory: PRESENT | WRITE, code: 5, operation: READ },
			{ name: "the directory entry is absent", directory: 0n, code: 4, operation: READ },
		])("$name, whatever the page says", async ({ directory, code, operation }) => {
			const paged = await PagedGuest.create(
				engine,
				format,
				{ code: hotThenBad(operation, HIGH + 8), registers: { esi: 0x30000, ecx: ROUNDS } },
				{ user: true },
			);
			paged.setEntry(DIRECTORY, paged.highEntry, BigInt(HIGH_TABLE) | directory);
			paged.map(0, 0x100000n | ALL);
			expect(paged.pageFault()).toEqual({ code, cr2: HIGH + 8, eip: 0x1000 });
		});

		it("readonly pages stop the supervisor only where CR0.WP says so, from MOV CR0 on", async () => {
			// store; mov eax, cr0; or eax, WP; mov cr0, eax; store
			const code = [...STORE, 0x0f, 0x20, 0xc0, 0x0d, ...little32(0x10000), 0x0f, 0x22, 0xc0, ...STORE, HLT];
			const paged = await PagedGuest.create(engine, format, { code, registers: { esi: HIGH, eax: 7 } }, { cr0: 0n });
			paged.map(0, 0x100000n | PRESENT | USER);
			expect(paged.pageFault()).toEqual({ code: 3, cr2: HIGH, eip: 0x100d });
			expect(paged.guest.ram[0x100000]).toBe(7);
		});

		it("an instruction over two pages faults at the absent second one", async () => {
			const paged = await PagedGuest.create(engine, format, { code: [0xe9, ...little32(HIGH + 0xffd - 0x1005)] });
			paged.map(0, 0x100000n | ALL);
			paged.guest.ram.set([0x43, 0xb8, 1], 0x100ffd);
			expect(paged.pageFault()).toEqual({ code: 0, cr2: HIGH + 0x1000, eip: HIGH + 0xffe });
			expect(paged.guest.register("ebx")).toBe(1);
		});

		it("a jump to an absent page faults there", async () => {
			const paged = await PagedGuest.create(engine, format, { code: [0x40, 0xe9, ...little32(HIGH + 5 - 0x1006)] });
			expect(paged.pageFault()).toEqual({ code: 0, cr2: HIGH + 5, eip: HIGH + 5 });
			expect(paged.guest.register("eax")).toBe(1);
		});

		it.each([
			{ name: "MOV", operation: STORE, second: 0n, code: 2 },
			{ name: "ADD", operation: ADD, second: 0n, code: 2 },
			{ name: "MOV", operation: STORE, second: PRESENT, code: 3 },
			{ name: "ADD", operation: ADD, second: PRESENT, code: 3 },
			{ name: "CMPXCHG8B", operation: [0x0f, 0xc7, 0x0e], second: PRESENT, code: 3 },
		])("$name over two pages stores nothing where the second refuses", async ({ operation, second, code }) => {
			const paged = await PagedGuest.create(engine, format, {
				code: hotThenBad(operation, HIGH + 0xffe),
				registers: { esi: 0x30000, ecx: ROUNDS, eax: 0x01020304 },
			});
			paged.map(0, 0x100000n | ALL);
			paged.map(1, 0x101000n | second);
			expect(paged.pageFault()).toEqual({ code, cr2: HIGH + 0x1000, eip: 0x1000 });
			expect([...paged.guest.ram.subarray(0x100ffc, 0x101004)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
		});

		it.each([
			{ name: "PUSH", operation: [0x50], cr2: HIGH - 2 },
			{ name: "CALL", operation: [0xe8, 0, 0, 0, 0], cr2: HIGH - 2 },
			{ name: "PUSHA", operation: [0x60], cr2: HIGH - 2 },
			{ name: "PUSHF", operation: [0x9c], cr2: HIGH - 2 },
			{ name: "ENTER", operation: [0xc8, 8, 0, 1], cr2: HIGH - 2 },
		])("$name onto an absent page leaves ESP and memory alone", async ({ operation, cr2 }) => {
			const paged = await PagedGuest.create(
				engine,
				format,
				{ code: [...operation, HLT], registers: { esp: HIGH + 2, ebp: 0x1234, eax: 0x11223344 } },
				{ user: true },
			);
			paged.map(0, 0x100000n | ALL);
			expect(paged.pageFault()).toEqual({ code: 6, cr2, eip: 0x1000 });
			expect(paged.view.getUint32(STACK0 - 8, true)).toBe(HIGH + 2);
			expect(paged.view.getUint32(0x100000, true)).toBe(0);
			expect(paged.guest.register("ebp")).toBe(0x1234);
		});

		it("a fault while a fault is delivered is a double fault, then a shutdown", async () => {
			const double = await PagedGuest.create(engine, format, { code: [0x8b, 0x06], registers: { esi: HIGH } });
			// The gate of #PF leads to a selector beyond the GDT.
			double.view.setUint16(0x5800 + PF * 8 + 2, 0x1000, true);
			expect(faultOf(double.guest)).toBe(8);
			expect(double.view.getUint32(double.guest.register("esp"), true)).toBe(0);
			const triple = await PagedGuest.create(engine, format, { code: [0x50], registers: { esp: HIGH } });
			expect(triple.guest.run()).toBe(EXIT_REASON.shutdown);
			expect(Number(triple.guest.processor.get64(F.cr2))).toBe(HIGH - 4);
		});

		it("tables where there is no memory map nothing", async () => {
			const paged = await PagedGuest.create(engine, format, { code: [0x8b, 0x06, HLT], registers: { esi: HIGH } });
			paged.setEntry(DIRECTORY, paged.highEntry, 0x10000000n | ALL);
			expect(paged.pageFault()).toEqual({ code: 0, cr2: HIGH, eip: 0x1000 });
		});
	});

	it("a page behind a hole is asked for before the device is", async () => {
		const paged = await PagedGuest.create(engine, "32-bit", {
			code: hotThenBad(READ, HIGH + 0xffe),
			registers: { esi: 0x30000, ecx: ROUNDS },
		});
		paged.map(0, 0x10000000n | ALL);
		expect(paged.pageFault()).toEqual({ code: 0, cr2: HIGH + 0x1000, eip: 0x1000 });
	});

	it("instruction fetches show in the error code where execution can be disabled", async () => {
		for (const [entry, code] of [
			[0n, 0x14],
			[ALL | NO_EXECUTE, 0x15],
		] as const) {
			const paged = await PagedGuest.create(
				engine,
				"PAE",
				{ code: [0xe9, ...little32(HIGH - 0x1005)] },
				{ user: true, efer: 0x800n },
			);
			paged.map(0, 0x100000n | entry);
			expect(paged.pageFault()).toEqual({ code, cr2: HIGH, eip: HIGH });
		}
	});

	it("an execute-disable bit in the directory counts for all its pages", async () => {
		const paged = await PagedGuest.create(
			engine,
			"PAE",
			{ code: [0x8b, 0x06, 0xe9, ...little32(HIGH - 0x1007)], registers: { esi: HIGH } },
			{ efer: 0x800n },
		);
		paged.setEntry(DIRECTORY, 2, BigInt(HIGH_TABLE) | ALL | NO_EXECUTE);
		paged.map(0, 0x100000n | ALL);
		expect(paged.pageFault()).toEqual({ code: 0x11, cr2: HIGH, eip: HIGH });
	});

	it.each([
		{ name: "bit 63 without EFER.NXE", format: "PAE", entry: ALL | NO_EXECUTE, large: false },
		{ name: "bit 52 of a PAE entry", format: "PAE", entry: ALL | (1n << 52n), large: false },
		{ name: "bit 62 of a PAE entry", format: "PAE", entry: ALL | (1n << 62n), large: false },
		{ name: "an address bit that does not exist", format: "PAE", entry: ALL | (1n << 45n), large: false },
		{ name: "bit 13 of a 2 MiB page", format: "PAE", entry: ALL | LARGE | 0x2000n, large: true },
		{ name: "bit 21 of a 4 MiB page", format: "32-bit", entry: ALL | LARGE | 0x200000n, large: true },
	] as const)("reserved: $name", async ({ format, entry, large }) => {
		const paged = await PagedGuest.create(
			engine,
			format,
			{ code: [0x8b, 0x06, HLT], registers: { esi: HIGH } },
			{ cr4: CR4_PSE, user: true },
		);
		if (large) paged.setEntry(DIRECTORY, paged.highEntry, entry);
		else paged.map(0, entry);
		expect(paged.pageFault()).toEqual({ code: 13, cr2: HIGH, eip: 0x1000 });
	});
});

describe.each(ENGINES)("translations on the %s", (engine) => {
	describe.each(FORMATS)("with %s paging", (format) => {
		it("set accessed bits by any access and the dirty bit by stores", async () => {
			// mov eax, [HIGH]; mov [HIGH + 1000], eax; add [HIGH + 2000], eax
			const code = [
				0xa1,
				...little32(HIGH),
				0xa3,
				...little32(HIGH + 0x1000),
				0x01,
				0x05,
				...little32(HIGH + 0x2000),
				HLT,
			];
			const paged = await PagedGuest.create(engine, format, { code });
			for (let page = 0; page < 4; page++) paged.map(page, BigInt(0x100000 + page * 4096) | ALL);
			paged.guest.runToHalt();
			const bits = [0, 1, 2, 3].map((page) => paged.entry(HIGH_TABLE, page) & (ACCESSED | DIRTY));
			expect(bits).toEqual([ACCESSED, ACCESSED | DIRTY, ACCESSED | DIRTY, 0n]);
			expect(paged.entry(DIRECTORY, paged.highEntry) & (ACCESSED | DIRTY)).toBe(ACCESSED);
			expect(paged.entry(LOW_TABLE, 1) & (ACCESSED | DIRTY)).toBe(ACCESSED);
		});

		it("a store that follows a read sets the dirty bit then", async () => {
			// L: mov eax, [esi]; loop L; hlt; mov [esi], eax; hlt
			const paged = await PagedGuest.create(engine, format, {
				code: [0x8b, 0x06, 0xe2, 0xfc, HLT, 0x89, 0x06, HLT],
				registers: { esi: HIGH, ecx: ROUNDS },
			});
			paged.map(0, 0x100000n | ALL);
			paged.guest.runToHalt();
			expect(paged.entry(HIGH_TABLE, 0) & DIRTY).toBe(0n);
			paged.guest.runToHalt();
			expect(paged.entry(HIGH_TABLE, 0) & DIRTY).toBe(DIRTY);
		});

		it("large pages need one entry", async () => {
			const cr4 = format === "32-bit" ? CR4_PSE : 0n;
			const paged = await PagedGuest.create(
				engine,
				format,
				{ code: [0x8b, 0x06, 0x89, 0x47, 4, HLT], registers: { esi: HIGH + 0x123450, edi: HIGH + 0x123450 } },
				{ cr4 },
			);
			paged.setEntry(DIRECTORY, paged.highEntry, ALL | LARGE);
			paged.guest.ram.set([1, 2, 3, 4], 0x123450);
			paged.guest.runToHalt();
			expect([...paged.guest.ram.subarray(0x123454, 0x123458)]).toEqual([1, 2, 3, 4]);
			expect(paged.entry(DIRECTORY, paged.highEntry) & (ACCESSED | DIRTY)).toBe(ACCESSED | DIRTY);
		});

		it("INVLPG and MOV to CR3 forget what was mapped before", async () => {
			for (const forget of [
				[0x0f, 0x01, 0x3e],
				[0x0f, 0x20, 0xda, 0x0f, 0x22, 0xda],
			]) {
				// L: mov eax, [esi]; loop L; mov [edi], ebx (the entry); forget; mov edx, [esi] into EBP
				const code = [0x8b, 0x06, 0xe2, 0xfc, 0x89, 0x1f, ...forget, 0x8b, 0x2e, HLT];
				const paged = await PagedGuest.create(engine, format, { code, registers: { esi: HIGH, ecx: ROUNDS } });
				paged.map(0, 0x100000n | ALL);
				paged.guest.setRegister("ebx", 0x101000 | Number(ALL));
				paged.guest.setRegister("edi", paged.entryAt(HIGH_TABLE, 0));
				paged.guest.ram.set([1], 0x100000);
				paged.guest.ram.set([2], 0x101000);
				paged.guest.runToHalt();
				expect([paged.guest.register("eax"), paged.guest.register("ebp")]).toEqual([1, 2]);
			}
		});

		it("global pages survive MOV to CR3, not INVLPG", async () => {
			// mov eax, [esi]; mov [edi], ebx; mov edx, cr3; mov cr3, edx; mov ebp, [esi]; invlpg [esi]; mov ecx, [esi]
			const code = [
				...[0x8b, 0x06, 0x89, 0x1f, 0x0f, 0x20, 0xda, 0x0f, 0x22, 0xda, 0x8b, 0x2e],
				...[0x0f, 0x01, 0x3e, 0x8b, 0x0e, HLT],
			];
			for (const [cr4, expected] of [
				[CR4_PGE, [1, 1, 2]],
				[0n, [1, 2, 2]],
			] as const) {
				const paged = await PagedGuest.create(engine, format, { code, registers: { esi: HIGH } }, { cr4 });
				const { guest } = paged;
				paged.map(0, 0x100000n | ALL | GLOBAL);
				guest.setRegister("ebx", 0x101000 | Number(ALL | GLOBAL));
				guest.setRegister("edi", paged.entryAt(HIGH_TABLE, 0));
				guest.ram.set([1], 0x100000);
				guest.ram.set([2], 0x101000);
				guest.runToHalt();
				expect([guest.register("eax"), guest.register("ebp"), guest.register("ecx")]).toEqual(expected);
			}
		});

		it("code at one address is other code in another address space", async () => {
			// L: mov edx, [edi]; mov [HIGH's entry], edx by EBX; invlpg [HIGH]; call HIGH; xor edi, 4; dec ecx; jnz L
			const code = [
				...[0x8b, 0x17, 0x89, 0x13, 0x0f, 0x01, 0x3e, 0xff, 0xd6, 0x83, 0xf7, 4],
				...[0x49, 0x75, 0xf1, HLT],
			];
			const paged = await PagedGuest.create(engine, format, {
				code,
				memory: {
					[0x30000]: [...little32(0x100000 | Number(ALL)), ...little32(0x101000 | Number(ALL))],
					[0x100000]: [0x40, 0xc3],
					[0x101000]: [0x83, 0xc0, 100, 0xc3],
				},
				registers: { edi: 0x30000, esi: HIGH, ecx: 60, eax: 0 },
			});
			paged.guest.setRegister("ebx", paged.entryAt(HIGH_TABLE, 0));
			paged.guest.runToHalt();
			expect(paged.guest.register("eax")).toBe(30 * 101);
		});

		it("the same code at two addresses knows where it is", async () => {
			// L: call 2000; call HIGH; dec ecx; jnz L. 2000: call next; next: pop eax; add ebp, eax; ret
			const code = [0xe8, ...little32(0x2000 - 0x1005), 0xe8, ...little32(HIGH - 0x100a), 0x49, 0x75, 0xf3, HLT];
			const paged = await PagedGuest.create(engine, format, {
				code,
				memory: { [0x2000]: [0xe8, 0, 0, 0, 0, 0x58, 0x01, 0xc5, 0xc3] },
				registers: { ecx: ROUNDS, ebp: 0 },
			});
			paged.map(0, 0x2000n | ALL);
			paged.guest.runToHalt();
			expect(paged.guest.register("ebp")).toBe(ROUNDS * (0x2005 + HIGH + 5));
		});

		it("code written through another address is seen", async () => {
			// L: mov [HIGH + 1], ecx; call 2000; dec ecx; jnz L. 2000: mov eax, imm32; add ebp, eax; ret
			const code = [0x89, 0x0d, ...little32(HIGH + 1), 0xe8, ...little32(0x2000 - 0x100b), 0x49, 0x75, 0xf2, HLT];
			const paged = await PagedGuest.create(engine, format, {
				code,
				memory: { [0x2000]: [...mov(0, 0), 0x01, 0xc5, 0xc3] },
				registers: { ecx: ROUNDS, ebp: 0 },
			});
			paged.map(0, 0x2000n | ALL);
			paged.guest.runToHalt();
			expect(paged.guest.register("ebp")).toBe((ROUNDS * (ROUNDS + 1)) / 2);
		});

		it("each privilege level has its own view of a supervisor page", async () => {
			// At CPL 0, hot; then the same code at CPL 3 on the same page.
			const paged = await PagedGuest.create(engine, format, {
				code: [0x8b, 0x06, 0xe2, 0xfc, HLT],
				registers: { esi: HIGH, ecx: ROUNDS },
			});
			paged.map(0, 0x100000n | PRESENT | WRITE);
			paged.guest.runToHalt();
			enterUserMode(paged.guest);
			paged.guest.processor.set(F.rip, 0x1000);
			paged.guest.setRegister("ecx", ROUNDS);
			expect(paged.pageFault()).toEqual({ code: 5, cr2: HIGH, eip: 0x1000 });
			expect(paged.guest.register("ecx")).toBe(ROUNDS);
		});

		it("tables in ROM work, their accessed and dirty bits stay as they are", async () => {
			const rom = 0x400000;
			const paged = await PagedGuest.create(engine, format, {
				code: [...STORE, HLT],
				registers: { esi: HIGH, eax: 9 },
			});
			const { vm } = paged.guest;
			const { view, userspaceAddr } = vm.allocate(4096);
			new DataView(view.buffer, view.byteOffset).setBigUint64(0, 0x100000n | ALL, true);
			const region = { slot: 1, flags: 2, guestPhysAddr: BigInt(rom), memorySize: 4096n, userspaceAddr };
			expect(vm.setUserMemoryRegion(region)).toBe(0);
			paged.setEntry(DIRECTORY, paged.highEntry, BigInt(rom) | ALL);
			paged.guest.runToHalt();
			expect(paged.guest.ram[0x100000]).toBe(9);
			expect(view[0]).toBe(Number(ALL));
			expect(paged.entry(DIRECTORY, paged.highEntry) & ACCESSED).toBe(ACCESSED);
		});

		it("a store through a page to ROM marks the page dirty and comes out", async () => {
			const paged = await PagedGuest.create(engine, format, {
				code: [...STORE, HLT],
				registers: { esi: HIGH + 4, eax: 9 },
			});
			const { vm } = paged.guest;
			const { userspaceAddr } = vm.allocate(4096);
			const region = { slot: 1, flags: 2, guestPhysAddr: 0x400000n, memorySize: 4096n, userspaceAddr };
			expect(vm.setUserMemoryRegion(region)).toBe(0);
			paged.map(0, 0x400000n | ALL);
			expect(paged.guest.run()).toBe(EXIT_REASON.mmio);
			const { exit } = paged.guest.vcpu;
			expect([exit.physAddr, exit.len, exit.isWrite, exit.data[0]]).toEqual([0x400004, 4, true, 9]);
			expect(paged.entry(HIGH_TABLE, 0) & DIRTY).toBe(DIRTY);
		});
	});

	it("without CR4.PSE bit 7 of a directory entry means nothing", async () => {
		const paged = await PagedGuest.create(engine, "32-bit", { code: [...READ, HLT], registers: { esi: HIGH } });
		paged.setEntry(DIRECTORY, 1, BigInt(HIGH_TABLE) | ALL | LARGE);
		paged.map(0, 0x100000n | ALL);
		paged.guest.ram.set([3], 0x100000);
		paged.guest.runToHalt();
		expect(paged.guest.register("eax")).toBe(3);
	});

	it("4 MiB pages reach beyond 4 GiB by bits 13 to 16", async () => {
		const paged = await PagedGuest.create(
			engine,
			"32-bit",
			{ code: [...READ, HLT], registers: { esi: HIGH + 0x10 } },
			{ cr4: CR4_PSE },
		);
		paged.setEntry(DIRECTORY, 1, ALL | LARGE | (5n << 13n) | 0xc00000n);
		expect(paged.guest.run()).toBe(EXIT_REASON.mmio);
		expect(paged.guest.vcpu.exit.physAddr).toBe(5 * 2 ** 32 + 0xc00010);
	});
});
