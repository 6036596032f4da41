import { describe, expect, it } from "vitest";
import { VECTOR } from "../../src/isa/registers.ts";
import { EXIT_REASON } from "../../src/kvm/vcpu.ts";
import { F } from "../../src/vcpu/layout.ts";
import { ENGINES, type GuestOptions, LONG_HIGH, LONG_TOP, TestGuest } from "../support/engine.ts";
import { faultOf, installFaultTable } from "../support/fault-table.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const LAST_LOW_PAGE = 0x0000_7fff_ffff_f000n;

describe.each(ENGINES)("code of 64-bit mode on the %s", (engine) => {
	const create = (options: GuestOptions): Promise<TestGuest> => TestGuest.create(engine, { mode: "long", ...options });

	/** Maps the page at `linear`, whose tables are at 0xA000, to physical `to`. */
	const map = ({ processor, ram }: TestGuest, linear: bigint, to: number): void => {
		const tables = new DataView(ram.buffer, ram.byteOffset);
		let table = Number(processor.get64(F.cr3));
		let next = 0xa000;
		for (const shift of [39n, 30n, 21n]) {
			const at = table + Number((linear >> shift) & 511n) * 8;
			tables.setBigUint64(at, BigInt(next) | 0x27n, true);
			table = next;
			next += 0x1000;
		}
		tables.setBigUint64(table + Number((linear >> 12n) & 511n) * 8, BigInt(to) | 0x67n, true);
		processor.call("flushTlb", 0);
	};

	it.each([LONG_HIGH, LONG_TOP])(
		"an instruction over two pages at %x runs, and runs on with its second page changed",
		async (base) => {
			// inc ecx; movabs rax, imm64 over the page end; dec edx; jnz back; hlt
			const code = hex("ffc1 48b8 8877665544332211 ffca 75f0 f4");
			const guest = await create({ origin: 0x10ff9, code, rip: base + 0x10ff9n, registers: { rdx: 20n } });
			guest.runToHalt();
			expect(guest.gpr("rax")).toBe(0x1122334455667788n);
			expect(guest.gpr("rcx")).toBe(20n);
			guest.ram[0x11002] = 0xee;
			guest.vm.written(guest.ram.byteOffset + 0x11002, 1);
			guest.processor.set64(F.rip, base + 0x10ff9n);
			guest.setGpr("rdx", 20n);
			guest.runToHalt();
			expect(guest.gpr("rax")).toBe(0x1122ee4455667788n);
		},
	);

	it("an address relative to RIP takes 31 bits of displacement from anywhere in a block", async () => {
		// nops; mov eax, [rip + 0x7fffffff], which is at 0x1009 again; hlt
		const code = hex("90909090 8b05 ffffff7f f4 d0d1");
		const guest = await create({ code, rip: LONG_TOP + 0x1000n });
		guest.runToHalt();
		expect(guest.gpr("rax")).toBe(0xd1d0f47fn);
	});

	it("running over the end of the lower half is #GP(0) there", async () => {
		const guest = await create({ rip: LAST_LOW_PAGE + 0xffen });
		installFaultTable(guest);
		guest.ram.set([0x90, 0x90], 0xeffe);
		map(guest, LAST_LOW_PAGE, 0xe000);
		expect(faultOf(guest)).toBe(VECTOR.GP);
		const pushed = new DataView(guest.ram.buffer, guest.ram.byteOffset + Number(guest.gpr("rsp")));
		expect(pushed.getBigUint64(8, true)).toBe(0x0000_8000_0000_0000n);
	});

	it("jumps lead from the top of the address space to its bottom and back", async () => {
		const top = 0xffff_ffff_ffff_f000n;
		const guest = await create({ rip: top, registers: { rcx: 0n, rdx: 5000n } });
		map(guest, top, 0xe000);
		// dec edx; jz to the hlt; jmp 0x2000; hlt
		guest.ram.set(hex("ffca 7405 e9f72f0000 f4"), 0xe000);
		// inc ecx; jmp to the top
		guest.ram.set(hex("ffc1 e9f9cfffff"), 0x2000);
		guest.runToHalt();
		expect(guest.gpr("rcx")).toBe(4999n);
	});

	it("code that changes itself in the upper half is seen at once", async () => {
		// mov byte [rip + 1], imm8 changes the immediate of the mov that follows; loop
		const code = hex("8815 01000000 b0 00 01c3 ffc2 83fa 14 75ef f4");
		const guest = await create({ code, rip: LONG_TOP + 0x1000n, registers: { rdx: 1n, rax: 0n } });
		guest.runToHalt();
		// 1 + 2 + … + 19
		expect(guest.gpr("rbx")).toBe(190n);
	});

	it.each<[string, boolean]>([
		["up", false],
		["down", true],
	])("REP MOVS in the upper half goes %s over page ends", async (_way, down) => {
		const code = hex(`${down ? "fd" : "fc"} f348a5 f4`);
		const count = 0x400n;
		const last = down ? (count - 1n) * 8n : 0n;
		const registers = {
			rcx: count,
			rsi: LONG_HIGH + 0x20104n + last,
			rdi: LONG_TOP + 0x40ff8n + last,
		};
		const guest = await create({ code, registers });
		for (let n = 0; n < 0x2000; n++) guest.ram[0x20104 + n] = (n * 7 + (n >> 8)) & 0xff;
		guest.runToHalt();
		const copied = guest.ram.subarray(0x40ff8, 0x40ff8 + 0x2000);
		expect(Buffer.compare(copied, guest.ram.subarray(0x20104, 0x22104))).toBe(0);
		expect(guest.gpr("rcx")).toBe(0n);
		const end = down ? -8n : 0x2000n;
		expect(guest.gpr("rsi")).toBe(LONG_HIGH + 0x20104n + end);
		expect(guest.gpr("rdi")).toBe(LONG_TOP + 0x40ff8n + end);
	});

	it("REP SCAS compares 8 bytes at a time and stops at the first match", async () => {
		const code = hex("f248af f4");
		const registers = { rcx: -1n, rdi: LONG_TOP + 0x20000n, rax: 0x1122334455667788n };
		const guest = await create({ code, registers });
		new DataView(guest.ram.buffer, guest.ram.byteOffset).setBigUint64(0x23008, 0x1122334455667788n, true);
		// The same low half alone does not count.
		new DataView(guest.ram.buffer, guest.ram.byteOffset).setBigUint64(0x22000, 0x55667788n, true);
		guest.runToHalt();
		expect(guest.gpr("rdi")).toBe(LONG_TOP + 0x23010n);
		expect(guest.gpr("rcx")).toBe(BigInt.asUintN(64, -1n - 0x602n));
		expect(guest.eflags & 0x40).toBe(0x40);
	});

	it("REP INS stores at 64-bit addresses", async () => {
		const code = hex("f36c f4");
		const registers = { rcx: 4n, rdx: 0x10n, rdi: LONG_HIGH + 0x2000n };
		const guest = await create({ code, registers });
		expect(guest.run()).toBe(EXIT_REASON.io);
		guest.vcpu.exit.portData.set([1, 2, 3, 4]);
		guest.runToHalt();
		expect([...guest.ram.subarray(0x2000, 0x2005)]).toEqual([1, 2, 3, 4, 0]);
		expect(guest.gpr("rdi")).toBe(LONG_HIGH + 0x2004n);
	});

	it("breakpoints see all 64 bits of an address", async () => {
		// mov [rbx], rax: a data breakpoint of 8 bytes at the upper alias only.
		const code = hex("488903 90 f4");
		const guest = await create({ origin: 0x10000, code, registers: { rbx: 0x2000n } });
		installFaultTable(guest);
		const { processor } = guest;
		processor.set64(F.dr, LONG_HIGH + 0x2000n);
		// L0, write, 8 bytes.
		processor.set64(F.dr, 0x400n | 1n | (9n << 16n), 7 * 8);
		processor.call("updateMode");
		expect(faultOf(guest)).toBe(-1);
		processor.set64(F.rip, 0x10000n);
		guest.setGpr("rbx", LONG_HIGH + 0x2004n);
		expect(faultOf(guest)).toBe(VECTOR.DB);
		const pushed = new DataView(guest.ram.buffer, guest.ram.byteOffset + Number(guest.gpr("rsp")));
		expect(pushed.getBigUint64(0, true)).toBe(0x10003n);
	});

	it("a budget ends on exactly the instruction it should", async () => {
		const guest = await create({ code: hex("48ffc0 ebfb"), rip: LONG_TOP + 0x1000n });
		for (const [budget, expected] of [
			[1, 1n],
			[100, 51n],
			[7, 54n],
			[1001, 555n],
		] as const) {
			expect(guest.run(budget)).toBe(EXIT_REASON.budget);
			expect(guest.gpr("rax")).toBe(expected);
		}
	});

	it("16-bit and 32-bit pushes and pops follow their prefixes", async () => {
		// push rax; push ax; pop bx; pop rcx; push 0x80000000 (sign-extended); pop rdx; push fs; pop rsi; hlt
		const code = hex("50 6650 665b 59 6800000080 5a 0fa0 5e f4");
		const guest = await create({ code, registers: { rax: 0x1122334455667788n, rbx: -1n, rsi: -1n } });
		guest.runToHalt();
		expect(guest.gpr("rbx")).toBe(0xffffffffffff7788n);
		expect(guest.gpr("rcx")).toBe(0x1122334455667788n);
		expect(guest.gpr("rdx")).toBe(0xffffffff80000000n);
		expect(guest.gpr("rsi") & 0xffffn).toBe(0x10n);
		expect(guest.gpr("rsp")).toBe(0x8000n);
	});

	it("ENTER copies frame pointers of 8 bytes, and LEAVE takes the frame away", async () => {
		// enter 0x20, 3; mov rax, rsp; mov rbx, rbp; leave; hlt
		const code = hex("c8200003 4889e0 4889eb c9 f4");
		const guest = await create({ code, registers: { rbp: LONG_HIGH + 0x9000n } });
		const memory = new DataView(guest.ram.buffer, guest.ram.byteOffset);
		memory.setBigUint64(0x8ff8, 0x1111n, true);
		memory.setBigUint64(0x8ff0, 0x2222n, true);
		guest.runToHalt();
		expect([0x7ff8, 0x7ff0, 0x7fe8, 0x7fe0].map((at) => memory.getBigUint64(at, true))).toEqual([
			LONG_HIGH + 0x9000n,
			0x1111n,
			0x2222n,
			0x7ff8n,
		]);
		expect(guest.gpr("rax")).toBe(0x7fc0n);
		expect(guest.gpr("rbx")).toBe(0x7ff8n);
		expect(guest.gpr("rsp")).toBe(0x8000n);
		expect(guest.gpr("rbp")).toBe(LONG_HIGH + 0x9000n);
	});

	it("CRC32 of 64 bits is that of its 8 bytes", async () => {
		// crc32 eax, cl … by bytes in rbx; crc32 rdx, rcx
		const bytes = "f20f38f0c1 48c1c908".repeat(8);
		const code = hex(`${bytes} f2480f38f1d1 f4`);
		const registers = { rax: 0xffffffffn, rdx: 0xffffffffn, rcx: 0x0123456789abcdefn };
		const guest = await create({ code, registers });
		guest.runToHalt();
		expect(guest.gpr("rdx")).toBe(guest.gpr("rax"));
		// The check value of CRC-32C: "12345678" of its "123456789".
		guest.setGpr("rdx", 0xffffffffn);
		guest.setGpr("rcx", 0x3837363534333231n);
		guest.processor.set64(F.rip, 0x1000n + BigInt(code.length - 7));
		guest.runToHalt();
		expect(guest.gpr("rdx") ^ 0xffffffffn).toBe(0x6087809an);
	});

	it("RDRAND gives the same numbers in every run, and says so in CF", async () => {
		const numbers = async (): Promise<bigint[]> => {
			// rdrand rax; rdrand ebx; rdseed r8; setc cl; hlt
			const guest = await create({ code: hex("480fc7f0 0fc7f3 490fc7f8 0f92c1 f4"), registers: { rcx: 0n, rbx: -1n } });
			guest.runToHalt();
			return [guest.gpr("rax"), guest.gpr("rbx"), guest.gpr("r8"), guest.gpr("rcx")];
		};
		const [first, second] = [await numbers(), await numbers()];
		expect(second).toEqual(first);
		expect(new Set(first).size).toBe(4);
		expect(first[1]! >> 32n).toBe(0n);
		expect(first[3]).toBe(1n);
	});

	it("PDEP and PEXT move bits to and from the places of a mask", async () => {
		// pdep rax, rbx, rcx; pext rdx, rax, rcx; hlt
		const code = hex("c4e2e3f5c1 c4e2faf5d1 f4");
		const registers = { rbx: 0xabcdn, rcx: 0xf0f0_0000_00f0_000fn };
		const guest = await create({ code, registers });
		guest.runToHalt();
		expect(guest.gpr("rax")).toBe(0xa0b0_0000_00c0_000dn);
		expect(guest.gpr("rdx")).toBe(0xabcdn);
	});
});
