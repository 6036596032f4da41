import { describe, expect, test } from "vitest";
import {
	COMMANDS,
	command,
	ENGINES,
	type Engine,
	EXIT_REASON,
	Guest,
	INCREMENT,
	KVM_MEM_READONLY,
	LOAD,
	PAGE,
} from "./guest.ts";

/** Page directory and one page table, which maps the first 4 MiB one to one. */
const TABLES = 0x20_0000;
const TABLE = TABLES + PAGE;
const DATA = 0x5000;
const [ACCESSED, DIRTY] = [0x20, 0x40];
const LOG = 1;

interface Paged {
	readonly guest: Guest;
	readonly directory: Uint32Array;
	readonly table: Uint32Array;
}

/** A guest with paging and write protection; four pages of data at {@link DATA}, in a slot with `flags`. */
async function paged(
	engine: Engine,
	flags: number,
	tableFlags: number,
	change?: (table: Uint32Array) => void,
): Promise<Paged> {
	const guest = await Guest.create(engine, { code: COMMANDS });
	const tables = guest.vm.allocate(2 * PAGE);
	const words = new Uint32Array(tables.view.buffer, tables.view.byteOffset, 2048);
	const [directory, table] = [words.subarray(0, 1024), words.subarray(1024)];
	directory[0] = TABLE | 3;
	for (let n = 0; n < 1024; n++) table[n] = (n * PAGE) | 3;
	change?.(table);
	guest.slot(0, tableFlags, TABLES, 2 * PAGE, tables);
	guest.slot(1, flags, DATA, 4 * PAGE, guest.vm.allocate(4 * PAGE));
	const sregs = guest.vcpu.getSregs();
	sregs.cr3 = BigInt(TABLES);
	sregs.cr0 = 0x8001_0011n;
	expect(guest.vcpu.setSregs(sregs)).toBe(0);
	return { guest, directory, table };
}

const bits = (entry: number | undefined): number => (entry ?? 0) & (ACCESSED | DIRTY);

describe.each(ENGINES)("page walks on the %s", (engine) => {
	test("set accessed and dirty bits and thereby dirty the tables, once", async () => {
		const { guest, directory, table } = await paged(engine, LOG, LOG);
		command(guest, DATA, LOAD);
		expect([bits(directory[0]), bits(table[5]), bits(table[6])]).toEqual([ACCESSED, ACCESSED, 0]);
		expect([guest.dirty(0, 2), guest.dirty(1, 4)]).toEqual([[0, 1], []]);
		command(guest, DATA + PAGE - 2, 0x55);
		expect([bits(table[5]), bits(table[6])]).toEqual([ACCESSED | DIRTY, ACCESSED | DIRTY]);
		expect([guest.dirty(0, 2), guest.dirty(1, 4)]).toEqual([[1], [0, 1]]);
		command(guest, DATA, INCREMENT);
		expect([guest.dirty(0, 2), guest.dirty(1, 4)]).toEqual([[], [0]]);
	});

	test("leave tables in ROM as they are; stores through them work", async () => {
		const { guest, directory, table } = await paged(engine, LOG, LOG | KVM_MEM_READONLY);
		expect(command(guest, DATA, 0x1234)).toEqual([]);
		expect(command(guest, DATA, LOAD)).toEqual([{ kind: "loaded", value: 0x1234 }]);
		expect([bits(directory[0]), bits(table[5])]).toEqual([0, 0]);
		expect([guest.dirty(0, 2), guest.dirty(1, 4)]).toEqual([[], [0]]);
	});

	test("set the dirty bit of a page of ROM when the guest stores to it; the store leaves", async () => {
		const { guest, table } = await paged(engine, KVM_MEM_READONLY, 0);
		expect(command(guest, DATA + 8, 0x77)).toEqual([{ kind: "write", gpa: DATA + 8, len: 4, data: "77000000" }]);
		expect(bits(table[5])).toBe(ACCESSED | DIRTY);
		expect(command(guest, DATA + 8, LOAD)).toEqual([{ kind: "loaded", value: 0 }]);
	});

	test.each<[string, number, number, page: number, entry: number]>([
		["a page of ROM that may not be written", DATA, KVM_MEM_READONLY, 5, DATA | 1],
		["a page that is not there, from one that is", DATA + PAGE - 2, LOG, 6, 0],
		["a page that may not be written, from one that may", DATA + PAGE - 2, LOG, 6, (DATA + PAGE) | 1],
	])("fault before anything else on a store to %s", async (_, address, flags, page, entry) => {
		const { guest } = await paged(engine, flags, 0, (table) => {
			table[page] = entry;
		});
		command(guest, DATA + 3 * PAGE, LOAD);
		expect(() => command(guest, address, 0x1111_1111)).toThrow(`exit ${EXIT_REASON.shutdown}`);
		expect(guest.vcpu.getSregs().cr2).toBe(BigInt(address % PAGE ? address + 2 : address));
		if (flags & LOG) expect(guest.dirty(1, 4)).toEqual([]);
		const buf = new Uint8Array(4 * PAGE);
		expect(guest.vm.memOp({ gaddr: BigInt(DATA), flags: 0, size: buf.length, op: 4, buf })).toBe(0);
		expect(buf.every((byte) => byte === 0)).toBe(true);
	});

	test("leave no trace when a debugger looks: across pages, at user pages and at what is not there", async () => {
		const { guest, directory, table } = await paged(engine, LOG, LOG, (table) => {
			table[6] = 0x30_0000 | 3;
			table[0x40] = (DATA + 2 * PAGE) | 3;
			table[0x41] = DATA | 7;
			table[0x42] = 0;
		});
		const { vcpu, vm } = guest;
		const buf = Uint8Array.of(1, 2, 3, 4);
		expect(vm.memOp({ gaddr: BigInt(DATA + 3 * PAGE - 2), flags: 0, size: 2, op: 5, buf })).toBe(0);
		expect(vm.memOp({ gaddr: BigInt(DATA), flags: 0, size: 2, op: 5, buf: buf.subarray(2) })).toBe(0);
		guest.dirty(1, 4);
		const before = [vcpu.getRegs(), vcpu.getSregs(), vcpu.getVcpuEvents()];
		expect(vcpu.peek(0x40ffen, 4)).toEqual(buf);
		expect(vcpu.peek(0x41ffen, 4), "a page that is not mapped").toBeUndefined();
		expect(vcpu.peek(BigInt(DATA + PAGE), 4), "no memory behind the page").toBeUndefined();
		expect(vcpu.peek(0x8000_0000n, 1), "no table").toBeUndefined();
		expect([vcpu.getRegs(), vcpu.getSregs(), vcpu.getVcpuEvents()]).toEqual(before);
		expect([bits(directory[0]), bits(table[0x40]), bits(table[0x41])]).toEqual([0, 0, 0]);
		expect([guest.dirty(0, 2), guest.dirty(1, 4)]).toEqual([[], []]);
		command(guest, DATA, LOAD);
		expect([bits(directory[0]), bits(table[5])], "the next access does set them").toEqual([ACCESSED, ACCESSED]);
	});

	test("find nothing in tables where there is no memory: a fault, not an exit", async () => {
		const { guest } = await paged(engine, 0, 0);
		const sregs = guest.vcpu.getSregs();
		sregs.cr3 = 0x3000_0000n;
		guest.vcpu.setSregs(sregs);
		expect(guest.run()).toBe(EXIT_REASON.shutdown);
	});

	test("follow frames that are not neighbours: each part of an access goes where its page is", async () => {
		const { guest } = await paged(engine, 0, 0, (table) => {
			table[0x40] = (DATA + 2 * PAGE) | 3;
			table[0x41] = 0x30_0000 | 3;
		});
		expect(command(guest, 0x40ffd, 0x44332211)).toEqual([{ kind: "write", gpa: 0x30_0000, len: 1, data: "44" }]);
		expect(command(guest, 0x40ffd, LOAD, () => 0x99)).toEqual([
			{ kind: "read", gpa: 0x30_0000, len: 1, data: "99" },
			{ kind: "loaded", value: 0x99332211 },
		]);
		expect(guest.vcpu.translate(0x40ffdn).physicalAddress).toBe(BigInt(DATA + 2 * PAGE + 0xffd));
	});
});
