import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { debuggedMachine, type GdbClient } from "../../support/gdb-client.ts";
import { MACHINE_ENGINES, runMachine } from "../../support/run-machine.ts";
import { exit, forever, hlt, say, storeByte, temporaryFiles, tinyRom } from "../../support/tiny-rom.ts";

const file = temporaryFiles();
const TRAP = "T05thread:01;";
const INTERRUPTED = "T02thread:01;";
/** Where the code of a tiny ROM lies. */
const CODE = 0xf0000;

/** Counts in memory at 600 and says so: mov byte [600], 0; ten times: inc byte [600]; say; then exit 3. */
const COUNTING = [
	...storeByte(0x600, 0),
	...[0xb9, 10, 0], // mov cx, 10
	...[0xfe, 0x06, 0x00, 0x06], // L: inc byte [600]
	...say("x"),
	...[0x49, 0x75, 0xf5], // dec cx; jnz L
	...exit(3),
];
const [COUNT_AT, LOOP_AT, SAY_AT] = [0x600, CODE + 8, CODE + 12];
const counting = (): string => file("counting.bin", tinyRom(COUNTING));

const hex = (value: number): string => value.toString(16);
/** A register of 64 bits in a reply, lowest byte first. */
const little = (reply: string | undefined): bigint =>
	BigInt(
		`0x${Buffer.from(reply ?? "", "hex")
			.reverse()
			.toString("hex")}`,
	);
/** Number of a register by its name. */
async function number(client: GdbClient, name: string): Promise<string> {
	const xml = await client.ask("qXfer:features:read:target.xml:0,3fff");
	return hex(Number(new RegExp(`name="${name}"[^>]*regnum="(\\d+)"`).exec(xml ?? "")?.[1]));
}
async function register(client: GdbClient, name: string): Promise<bigint> {
	return little(await client.ask(`p${await number(client, name)}`));
}
async function setRegister(client: GdbClient, name: string, value: bigint, bytes = 8): Promise<string | undefined> {
	const digits = BigInt.asUintN(bytes * 8, value)
		.toString(16)
		.padStart(bytes * 2, "0");
	return client.ask(`P${await number(client, name)}=${Buffer.from(digits, "hex").reverse().toString("hex")}`);
}

describe.each([...MACHINE_ENGINES, "lockstep"] as const)("a debugged run on %s", (engine) => {
	test("stops at breakpoints, watchpoints and steps, and is the run that it would have been", async () => {
		const bios = counting();
		const plain = await runMachine({ bios, engine });
		const { client, outcome, debugcon, machine } = await debuggedMachine({ bios, engine });
		expect(await client.ask("?")).toBe(INTERRUPTED);
		expect(await register(client, "rip")).toBe(0xfffffff0n);
		expect(await client.ask(`Z0,${hex(SAY_AT)},1`)).toBe("OK");
		for (let n = 1; n <= 3; n++) {
			expect(await client.ask("c")).toBe(TRAP);
			expect(await register(client, "rip")).toBe(BigInt(SAY_AT));
			expect(await client.ask(`m${hex(COUNT_AT)},1`)).toBe(`0${n}`);
			expect(await client.ask("s")).toBe(TRAP);
		}
		await client.ask(`z0,${hex(SAY_AT)},1`);
		await client.ask(`Z2,${hex(COUNT_AT)},2`);
		expect(await client.ask("c")).toBe(`${TRAP}watch:600;`);
		expect(await register(client, "rip")).toBe(BigInt(SAY_AT));
		await client.ask(`z2,${hex(COUNT_AT)},2`);
		await client.ask(`Z4,${hex(COUNT_AT)},1`);
		expect(await client.ask("c")).toBe(`${TRAP}awatch:600;`);
		await client.ask(`z4,${hex(COUNT_AT)},1`);
		// As long as the loop's body: the range ends with the jump back to its start.
		await client.ask(`Z1,${hex(LOOP_AT)},1`);
		expect(await client.ask("c")).toBe(TRAP);
		expect(await client.ask(`vCont;r${hex(LOOP_AT)},${hex(SAY_AT)}:1;c`)).toBe(TRAP);
		expect(await register(client, "rip")).toBe(BigInt(SAY_AT));
		expect(await client.ask("D")).toBe("OK");
		const end = await outcome;
		expect({ ...end, ramHash: machine.ramHash(), debugcon: debugcon.text }).toEqual({
			...plain.outcome,
			ramHash: plain.ramHash,
			debugcon: plain.debugcon,
		});
	});
});

describe("a session", () => {
	test("changes registers and memory, ROM included, and code that has run", async () => {
		const { client, outcome, debugcon } = await debuggedMachine({ bios: counting() });
		await client.ask(`Z0,${hex(LOOP_AT)},1`);
		await client.ask("c");
		expect(await setRegister(client, "rcx", 2n)).toBe("OK");
		expect(await setRegister(client, "xmm3", 0x1234n << 64n, 16)).toBe("OK");
		expect(await register(client, "xmm3")).toBe(0x1234n << 64n);
		expect(await setRegister(client, "ymm3h", 7n, 16)).toBe("OK");
		expect(await register(client, "ymm3h")).toBe(7n);
		expect(await setRegister(client, "st2", 0x3fff_8000_0000_0000_0000n, 10)).toBe("OK");
		expect(await register(client, "st2")).toBe(0x3fff_8000_0000_0000_0000n);
		expect(await setRegister(client, "ds", 0x60n, 4)).toBe("OK");
		expect(await client.monitor("info registers")).toContain("DS  0060 base 0000000000000600");
		expect(await setRegister(client, "ds", 0n, 4)).toBe("OK");
		expect(await setRegister(client, "cr0", 0x80000000n)).toBe("E22");
		expect(await setRegister(client, "cr2", 0x55n)).toBe("OK");
		// say "y" instead of "x", in the ROM; binary, with an escape: 0x7d is 7d 5d.
		expect(await client.ask(`M${hex(SAY_AT + 1)},1:79`)).toBe("OK");
		expect(await client.ask("X500,2:}]a")).toBe("OK");
		expect(await client.ask("m500,2")).toBe("7d61");
		expect(await client.ask("m80000000,4")).toBe("E14");
		const all = await client.ask("g");
		expect(await client.ask(`G${all}`)).toBe("OK");
		expect(await client.ask("g")).toBe(all);
		await client.ask(`z0,${hex(LOOP_AT)},1`);
		client.console = "";
		client.send("vCont;c");
		expect(await client.reply()).toBe("T06thread:01;");
		expect(client.console).toBe("tsvmm: debug-exit; to go on ends the run\n");
		expect(debugcon.text).toBe("yy");
		client.send("c");
		expect((await outcome).end).toEqual({ kind: "debug-exit", value: 3 });
	});

	test("stops a guest that runs or waits for ever, and ends it", async () => {
		for (const code of [forever, hlt]) {
			const { client, outcome } = await debuggedMachine({ bios: file("endless.bin", tinyRom(code)) });
			client.send("c");
			await new Promise((resolve) => setTimeout(resolve, 50));
			client.raw("\u0003");
			// Interrupts are off: such a HLT is an end, and shown.
			expect(await client.reply()).toBe(code === hlt ? "T06thread:01;" : INTERRUPTED);
			client.send("k");
			expect((await outcome).end).toEqual({ kind: "killed" });
			expect(client.closed || (await client.reply()) === undefined).toBe(true);
		}
	});

	test("a triple fault is shown, and mended by hand", async () => {
		// lidt [0]: no vectors; int3
		const { client, outcome } = await debuggedMachine({
			bios: file("triple.bin", tinyRom([0x66, 0x0f, 0x01, 0x1e, 0, 0x70, 0xcc, ...exit(5)])),
		});
		expect(await client.ask("c")).toBe("T06thread:01;");
		expect(client.console).toContain("tsvmm: triple-fault");
		expect(await setRegister(client, "rip", BigInt(CODE + 7))).toBe("OK");
		expect(await client.ask("c")).toBe("T06thread:01;");
		expect(client.console).toContain("debug-exit");
		await client.ask("D");
		expect((await outcome).end).toEqual({ kind: "debug-exit", value: 5 });
	});

	test("a store to ROM stops before it would have ended the run, as often as there is one", async () => {
		// mov ax, f000h; mov ds, ax; mov byte [100], 1; mov byte [101], 2
		const code = [0xb8, 0, 0xf0, 0x8e, 0xd8, ...storeByte(0x100, 1), ...storeByte(0x101, 2), ...exit(0)];
		const bios = file("rom-store.bin", tinyRom(code));
		const { client, outcome } = await debuggedMachine({ bios, "rom-writes": "stop" });
		for (const rip of [CODE + 10, CODE + 15]) {
			client.console = "";
			expect(await client.ask("c")).toBe(TRAP);
			expect(client.console).toBe("tsvmm: rom-write\n");
			expect(await register(client, "rip")).toBe(BigInt(rip));
		}
		await client.ask("D");
		expect((await outcome).end).toEqual({ kind: "debug-exit", value: 0 });
	});

	test("watchpoints on ROM and on what is no memory, each with its address", async () => {
		// mov ax, f000h; mov ds, ax; mov al, [200]; mov [200], al; then bigger addresses need no code: fec00000 by ES is out of reach
		const code = [0xb8, 0, 0xf0, 0x8e, 0xd8, 0xa0, 0, 2, 0xa2, 0, 2, 0xb8, 0, 0xb0, 0x8e, 0xd8, 0xa0, 5, 0, ...exit(0)];
		const { client, outcome } = await debuggedMachine({ bios: file("watched.bin", tinyRom(code)) });
		await client.ask("Z3,f0200,1");
		await client.ask("Z2,f0200,1");
		await client.ask("Z4,b0004,4");
		expect(await client.ask("c")).toBe(`${TRAP}rwatch:f0200;`);
		expect(await register(client, "rip")).toBe(BigInt(CODE + 8));
		expect(await client.ask("c")).toBe(`${TRAP}watch:f0200;`);
		expect(await register(client, "rip")).toBe(BigInt(CODE + 11));
		expect(await client.ask("c")).toBe(`${TRAP}awatch:b0005;`);
		await client.ask("D");
		expect((await outcome).end).toEqual({ kind: "debug-exit", value: 0 });
	});

	test("a client that comes while there is one is sent away; one that is lost leaves the guest as it is", async () => {
		const { client, connect, outcome } = await debuggedMachine({ bios: counting() });
		await client.ask(`Z0,${hex(LOOP_AT)},1`);
		await client.ask("c");
		const second = await connect();
		expect(await second.ask("?")).toBeUndefined();
		client.hangUp();
		const third = await connect();
		expect(await third.ask("?")).toBe(INTERRUPTED);
		expect(await register(third, "rip")).toBe(BigInt(LOOP_AT));
		// The breakpoint has gone with its client.
		expect(await third.ask("c")).toBe("T06thread:01;");
		third.send("c");
		expect((await outcome).end).toEqual({ kind: "debug-exit", value: 3 });
	});

	test("says what it can, and leaves alone what it does not know", async () => {
		const { client, outcome } = await debuggedMachine({ bios: counting() });
		expect(await client.ask("qSupported:swbreak+;hwbreak+;xmlRegisters=i386")).toContain("qXfer:features:read+");
		expect(await client.ask("QStartNoAckMode")).toBe("OK");
		for (const packet of ["vMustReplyEmpty", "qTStatus", "qXfer:memory-map:read::0,100", "Z9,0,1", "~", ""])
			expect(await client.ask(packet)).toBe("");
		for (const packet of [
			"m",
			"m0",
			"mzz,1",
			"M0,1:0",
			"M0,2:00",
			"X0,1",
			"Z0,,1",
			"Z2,0,0",
			"p999",
			"P0=00",
			"G0",
			"vCont;x",
		])
			expect(await client.ask(packet)).toBe("E22");
		expect(await client.ask("qAttached")).toBe("1");
		expect([await client.ask("qC"), await client.ask("qfThreadInfo"), await client.ask("qsThreadInfo")]).toEqual([
			"QC01",
			"m01",
			"l",
		]);
		await client.ask(`Z0,${hex(LOOP_AT)},1`);
		expect(await client.ask("vCont;c:1")).toBe(`${TRAP}swbreak:;`);
		await client.ask(`z0,${hex(LOOP_AT)},1`);
		await client.ask(`Z1,${hex(SAY_AT)},1`);
		expect(await client.ask("c")).toBe(`${TRAP}hwbreak:;`);
		expect(await client.monitor("help")).toMatch(/^help .*\n.*info registers/);
		expect(await client.monitor("nonsense")).toContain("no command");
		expect(await client.monitor("info tlb 0x600")).toBe(
			"no paging\n0000000000000600 -> 0000000600, page of 4 KiB, rwu\n",
		);
		expect(await client.monitor("info mtree")).toContain("memory-region: ");
		expect(await client.monitor("info slots")).toContain("readonly");
		expect(await client.monitor("xp /4xb 0x600")).toBe("00000600: 01 00 00 00\n");
		expect(await client.monitor("x /2i 0xf000c")).toContain("mov al, 0x78");
		expect(await client.monitor("rom-writes")).toBe("a store\n");
		expect(await client.monitor("where")).toBe("#0 somewhere\n");
		expect(await client.monitor("pc offset")).not.toBe("");
		expect(await register(client, "rip")).toBe(0xcn);
		expect(await client.monitor("pc linear")).not.toBe("");
		expect(await client.monitor("reset")).toBe("the machine is reset\n");
		expect(await register(client, "rip")).toBe(0xfffffff0n);
		expect(await client.monitor("quit")).toBe("the run ends\n");
		expect((await outcome).end).toEqual({ kind: "killed" });
	});

	test("steps into an interrupt, or past it where interrupts are to wait, and over HLT to what ends it", async () => {
		// The timer's vector 8 → f000:300; sti; hlt; L: jmp L. At 300: iret
		const code = [
			...[0xc7, 0x06, 0x20, 0x00, 0x00, 0x03, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0], // mov word [20], 300; mov word [22], f000
			...[0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21], // ICW1 to ICW4
			...[0xb0, 0xfe, 0xe6, 0x21, 0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x00, 0xe6, 0x40, 0xb0, 0x10, 0xe6, 0x40], // IRQ 0; counter 0
			...[0xbc, 0x00, 0x70, 0xfb, 0xf4, 0xeb, 0xfe], // mov sp, 7000; sti; hlt; jmp $
		];
		const rom = tinyRom(code, { 768: [0x40, 0xcf] });
		const { client, outcome } = await debuggedMachine({ bios: file("timer.bin", rom) });
		const halt = CODE + code.length - 3;
		await client.ask(`Z0,${hex(halt)},1`);
		expect(await client.ask("c")).toBe(TRAP);
		expect(await client.ask("s")).toBe(TRAP);
		expect(await register(client, "rip")).toBe(BigInt(CODE + 0x300));
		expect(await client.ask("s")).toBe(TRAP);
		expect(await register(client, "rax")).toBe(0x11n);
		// No end of interrupt: no further one comes until it is told.
		await client.ask("s");
		expect(await register(client, "rip")).toBe(BigInt(halt + 1));
		expect(await client.monitor("sstep noirq")).toContain("wait");
		expect(await client.ask("qqemu.sstep")).toBe("0x7");
		expect(await client.ask("Qqemu.sstep=1")).toBe("OK");
		expect(await client.monitor("sstep")).toContain("take");
		client.send("k");
		await outcome;
	});

	test("survives whatever bytes come", async () => {
		const { client, connect, outcome } = await debuggedMachine({ bios: file("fuzz.bin", tinyRom(forever)) });
		const kinds = "?!gGpPmMXcCsSzZDRvqQHTk";
		let current = client;
		for (let n = 0; n < 300; n++) {
			const kind = kinds[n % (kinds.length - 1)]!;
			const junk = randomBytes(n % 40).toString(n % 2 ? "latin1" : "hex");
			current.send(`${kind}${junk.replace(/[#$}*]/g, "0")}`);
			if (n % 3 === 0) current.raw(randomBytes(30).toString("latin1").replaceAll("k", "j"));
			if (n % 7 === 0) current.raw("\u0003");
			if (n % 50 === 49) {
				current.hangUp();
				current = await connect();
			}
		}
		current.hangUp();
		const last = await connect();
		last.raw("\u0003");
		expect(await last.ask("?")).toBeDefined();
		last.send("k");
		expect((await outcome).end).toEqual({ kind: "killed" });
	});
});
