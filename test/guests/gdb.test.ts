import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { initramfs } from "../support/initramfs.ts";
import { MACHINE_ENGINES } from "../support/run-machine.ts";
import { bigReal, exit, tinyRom } from "../support/tiny-rom.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-gdb-"));
afterAll(() => rmSync(folder, { recursive: true }));

const PATIENCE_S = 400;
const patient = { timeout: PATIENCE_S * 1000 };
const command = [
	"--import",
	import.meta.resolve("tsx"),
	fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url)),
];

interface Session {
	/** What GDB printed. */
	readonly gdb: string;
	/** tsvmm's exit status. */
	readonly status: number | null;
	readonly result: Readonly<Record<"outcome" | "instructions" | "guestTimeNs" | "ramSha256", unknown>> | undefined;
}

const ended = (child: ReturnType<typeof spawn>): Promise<number | null> =>
	new Promise((resolve) => child.on("close", resolve));

/** Runs a machine under GDB, which carries out `script`; without one, without GDB. */
async function run(machine: readonly string[], script?: string, gdb = "gdb"): Promise<Session> {
	const [socket, file, result] = ["gdb.sock", "script.gdb", "result.json"].map((name) => join(folder, name)) as [
		string,
		string,
		string,
	];
	for (const path of [socket, result]) rmSync(path, { force: true });
	const debug = script === undefined ? [] : ["--gdb", socket, "--pause"];
	const words = ["run", ...machine, "--result", result, "--timeout", `${PATIENCE_S}s`, "--debugcon", "null", ...debug];
	const guest = spawn(process.execPath, [...command, ...words], { stdio: "ignore" });
	const guestEnd = ended(guest);
	let text = "";
	if (script !== undefined) {
		const head = ["set pagination off", "set confirm off", "set width 0", `target remote ${socket}`];
		writeFileSync(file, `${[...head, script].join("\n")}\n`);
		while (!existsSync(socket) && guest.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 50));
		const child = spawn(gdb, ["-nx", "-batch", "-x", file], { stdio: ["ignore", "pipe", "pipe"] });
		for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (part) => (text += part));
		await ended(child);
	}
	const status = await guestEnd;
	const json = existsSync(result) ? readFileSync(result, "utf8") : "";
	return { gdb: text, status, result: json === "" ? undefined : (JSON.parse(json) as Session["result"]) };
}

const facts = ({ outcome, instructions, guestTimeNs, ramSha256 }: NonNullable<Session["result"]>) => ({
	...{ outcome, instructions, guestTimeNs, ramSha256 },
});

describeWith(["gdb", "seabios-128k"], "GDB and SeaBIOS", (gdb, bios) => {
	test.each(MACHINE_ENGINES)("a debugged boot is the boot that it would have been, %s", async (engine) => {
		const machine = ["--bios", bios, "--engine", engine, "--max-instructions", "1M"];
		const plain = await run(machine);
		const script = `
			info registers rip cs cr0 eflags
			monitor arch i8086
			disconnect
			target remote ${join(folder, "gdb.sock")}
			x/i $pc
			break *0xfe05b
			continue
			x/i $pc
			stepi
			delete
			watch *(unsigned char*)0x410
			continue
			p/x *(unsigned char*)0x410
			delete
			rwatch *(unsigned short*)0xf6f28
			awatch *(int*)0xf6a00
			continue
			delete
			p $xmm0.uint128
			p $st0
			monitor info slots
			python
try:
    gdb.execute("x/2xw 0xfee00000")
except gdb.MemoryError as error:
    print(error)
end
			detach`;
		const { gdb: text, status, result } = await run(machine, script, gdb);
		expect(text).toMatch(/^rip +0xfffffff0 /m);
		expect(text).toMatch(/^cs +0xf000 /m);
		expect(text).toMatch(/^cr0 +0x60000010 +\[ ET NW CD \]$/m);
		expect(text).toMatch(/^=> 0xfffffff0:\tljmp +\$0xf000,\$0xe05b$/m);
		expect(text).toContain("Breakpoint 1, 0x000fe05b in ?? ()");
		expect(text).toMatch(/^=> 0xfe05b:\tcmpl +\$0x0,%cs:0x[0-9a-f]+$/m);
		expect(text).toMatch(/^Hardware watchpoint 2: [^\n]*\n\nOld value = 0 '\\000'\nNew value = (\d+) /m);
		expect(text).toMatch(/\n\nHardware (read|access \(read\/write\)) watchpoint [34]: /);
		// A device: looking at it would change it.
		expect(text).toContain("Cannot access memory at address 0xfee00000");
		expect(text).toContain("readonly");
		expect(text).toContain("detached]");
		expect(status).toBe(120);
		expect(facts(result!)).toEqual(facts(plain.result!));
	});
});

describeWith(["gdb"], "GDB and a ROM of one's own", (gdb) => {
	test.each(MACHINE_ENGINES)("steps over a read of a device and into an interrupt, %s", async (engine) => {
		const code = [
			...bigReal,
			...[0x67, 0x66, 0xa1, 0x30, 0x00, 0xe0, 0xfe], // mov eax, [fee00030h]: the version of the local APIC
			...[0xbc, 0x00, 0x70], // mov sp, 7000h
			...[0xc7, 0x06, 0x20, 0x00, 0x00, 0x03, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0], // vector 8: f000:0300
			...[0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21],
			...[0xb0, 0xfe, 0xe6, 0x21, 0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x00, 0xe6, 0x40, 0xb0, 0x10, 0xe6, 0x40],
			...[0xfb, 0xf4, ...exit(7)], // sti; hlt
		];
		const read = 0xf0000 + bigReal.length;
		const halt = 0xf0000 + code.length - exit(7).length - 1;
		const bios = join(folder, "own.bin");
		writeFileSync(bios, tinyRom(code, { 768: [0x43, 0xcf] })); // inc bx; iret
		const script = `
			break *${read}
			continue
			delete
			stepi
			p/x $pc
			p/x $eax
			break *${halt}
			continue
			stepi
			p/x $pc
			p/x $cs
			stepi
			p $bx
			p/x $eflags
			set $bx = 0x1234
			set var *(short*)0x500 = 0x7788
			x/hx 0x500
			tbreak *${halt + 1}
			continue
			p/x $rbx
			continue
			kill`;
		const { gdb: text, status } = await run(["--bios", bios, "--engine", engine], script, gdb);
		const values = [...text.matchAll(/^\$\d+ = (.*)$/gm)].map(([, value]) => value);
		expect(values.slice(0, 2)).toEqual([`0x${(read + 7).toString(16)}`, "0x1050014"]);
		expect(values.slice(2, 5)).toEqual(["0xf0300", "0xf000", "1"]);
		expect(text).toMatch(/^0x500:\t0x7788$/m);
		expect(values.at(-1)).toBe("0x1234");
		expect(text).toContain("SIGABRT");
		expect(text).toContain("tsvmm: the guest wrote 7 to the debug-exit port; to go on ends the run");
		expect(status).toBe(207);
	});
});

describeWith(["gdb", "ovmf-code", "ovmf-vars"], "GDB and OVMF", (gdb, codeFile, varsFile) => {
	test("64-bit code, a watchpoint on flash, the page walk, and on", patient, async () => {
		const vars = join(folder, "vars.fd");
		copyFileSync(varsFile, vars);
		// The signature in the header of the variable store's volume.
		const script = `
			rwatch *(unsigned int*)0xffc00028
			python
gdb.execute("continue")
while gdb.parse_and_eval("$cr0") & 0x80000000 == 0:
    gdb.execute("continue")
end
			delete
			p/x *(unsigned int*)0xffc00028
			info registers rip cs efer cr0
			x/2i $pc
			hbreak *$pc
			stepi
			delete
			monitor info tlb 0xffc00028
			monitor where
			set $ymm5.v4_int64[3] = 0x1122
			p/x $ymm5.v4_int64[3]
			kill`;
		const flash = ["--flash", `${codeFile},readonly`, "--flash", vars];
		const { gdb: text, status } = await run([...flash], script, gdb);
		expect(text).toMatch(/Hardware read watchpoint 1: [^\n]*\n\nValue = \d+/);
		expect(text).toContain("= 0x4856465f");
		expect(text).toMatch(/^efer .*\[ .*LMA/m);
		expect(text).toMatch(/^cr0 .*\[ PE .*PG \]$/m);
		expect(text).toMatch(/-> 00ffc00028, page of \d+ KiB, rw/);
		expect(text).toMatch(/^ +#0 0x[0-9a-f]+/m);
		expect(text).toContain("= 0x1122");
		expect(status).toBe(207);
	});
});

describeWith(["gdb", "vmlinuz-cloud-amd64", "busybox-amd64"], "GDB and Linux", (gdb, kernel, busybox) => {
	test("a breakpoint on the kernel's system call entry, found by Ctrl-C", patient, async () => {
		const disk = join(folder, "initramfs.gz");
		writeFileSync(disk, initramfs(readFileSync(busybox)));
		const script = `
			python
import re, threading, time
def interrupt():
    time.sleep(3)
    gdb.post_event(lambda: gdb.execute("interrupt"))
entry = 0
while entry == 0:
    threading.Thread(target=interrupt).start()
    gdb.execute("continue")
    entry = int(re.search("LSTAR=([0-9a-f]+)", gdb.execute("monitor info registers", to_string=True)).group(1), 16)
gdb.execute("hbreak *0x%x" % entry)
gdb.execute("continue")
print("entry", gdb.parse_and_eval("$pc") == entry, gdb.parse_and_eval("$cs & 3"))
user = gdb.parse_and_eval("$gs_base")
gdb.execute("delete")
gdb.execute("stepi")
print("swapped", gdb.parse_and_eval("$gs_base") != user, gdb.parse_and_eval("$k_gs_base") == user)
gdb.execute("monitor where")
gdb.execute("monitor info tlb 0x%x" % entry)
gdb.execute("kill")
end`;
		const machine = ["--kernel", kernel, "--initrd", disk, "--memory", "256M", "--append", "nokaslr quiet"];
		const { gdb: text, status } = await run(machine, script, gdb);
		expect(text).toContain("entry True 0");
		expect(text).toContain("swapped True True");
		expect(text).toMatch(/^PML[45]E at /m);
		expect(status).toBe(207);
	});
});
