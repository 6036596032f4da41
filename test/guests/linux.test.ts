import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { initramfs, USER_SPACE } from "../support/initramfs.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-linux-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A boot takes 10 to 40 s on a machine with nothing else to do; a test has two at most. */
const PATIENCE_S = 600;
const patient = { timeout: 2 * PATIENCE_S * 1000 };
const tsvmm = ["--import", import.meta.resolve("tsx"), fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url))];

interface Run {
	readonly status: number | null;
	/** What the kernel sent to COM1. */
	readonly console: string;
	/** What is in the result file. */
	readonly result: Readonly<Record<"outcome" | "message" | "instructions" | "guestTimeNs" | "ramSha256", unknown>>;
}

/** Boots by the command, as users do. */
async function boot(kernel: string, append: string, words: readonly string[]): Promise<Run> {
	const result = join(folder, "result.json");
	rmSync(result, { force: true });
	const machine = ["--kernel", kernel, "--append", `console=ttyS0 ${append}`, "--memory", "256M", "--result", result];
	const limit = ["--timeout", `${PATIENCE_S}s`];
	const child = spawn(process.execPath, [...tsvmm, "run", ...machine, ...limit, ...words], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	const texts = ["", ""];
	[child.stdout, child.stderr].forEach((stream, n) => {
		stream.setEncoding("latin1").on("data", (text: string) => {
			texts[n] += text;
		});
	});
	const status = await new Promise<number | null>((ended) => child.on("close", ended));
	const parsed = existsSync(result) ? (JSON.parse(readFileSync(result, "utf8")) as Run["result"]) : undefined;
	if (parsed === undefined) throw new Error(`no result: ${texts[1]}`);
	return { status, console: texts[0]!.replaceAll("\r", ""), result: parsed };
}

/** The RAM disk with that busybox in it. */
function ramDisk(busybox: string): string {
	const path = join(folder, "initramfs.gz");
	writeFileSync(path, initramfs(readFileSync(busybox)));
	return path;
}

/** What `uname` prints after the kernel's release. */
const userSpace = (machine: string): RegExp =>
	new RegExp(`^${USER_SPACE} Linux \\(none\\) [^ ]+ #.* ${machine} GNU/Linux$`, "m");
/** How the timer's interrupt comes, in /proc/interrupts. */
const timer = (controller: string): RegExp => new RegExp(`^ +0: +[1-9]\\d* +${controller} .*timer$`, "m");
const switchedOff = { status: 0, result: { outcome: "power-off" } };

describeWith(["vmlinuz-cloud-amd64", "busybox-amd64"], "Debian's cloud kernel", (kernel, busybox) => {
	const initrd = ["--initrd", ramDisk(busybox)];

	test(
		"boots to user space and switches off, the same instruction by instruction in the interpreter",
		patient,
		async () => {
			const run = await boot(kernel, "quiet", initrd);
			expect(run).toMatchObject(switchedOff);
			expect(run.console).toMatch(userSpace("x86_64"));
			expect(run.console).toMatch(timer("IO-APIC"));
			expect(run.console).toContain("clock source: tsc\n");
			const again = await boot(kernel, "quiet", [...initrd, "--engine", "interpreter"]);
			const { instructions, guestTimeNs, ramSha256 } = run.result;
			expect(again.console).toBe(run.console);
			expect(again.result).toMatchObject({ instructions, guestTimeNs, ramSha256 });
		},
	);

	test("boots to user space without ACPI and APIC, by 8259 and 8254 alone", patient, async () => {
		const shown = ["--expect", USER_SPACE, "--expect", "XT-PIC      ttyS0"];
		const run = await boot(kernel, "quiet acpi=off noapic nolapic", [...initrd, ...shown]);
		expect(run).toMatchObject({ status: 0, result: { outcome: "expected" } });
		expect(run.console).toMatch(userSpace("x86_64"));
		expect(run.console).toMatch(timer("XT-PIC"));
	});

	test("without a RAM disk it panics, which has a status of its own", patient, async () => {
		const run = await boot(kernel, "quiet", []);
		expect(run).toMatchObject({ status: 204, result: { outcome: "panic" } });
		expect(run.result.message).toMatch(/^Kernel panic - not syncing: VFS: Unable to mount root fs/);
	});
});

describeWith(["vmlinuz-cloud-amd64", "busybox-amd64", "seabios"], "SeaBIOS", (kernel, busybox, bios) => {
	test("boots Debian's cloud kernel to user space", patient, async () => {
		const run = await boot(kernel, "quiet", ["--initrd", ramDisk(busybox), "--bios", bios]);
		expect(run).toMatchObject(switchedOff);
		expect(run.console).toMatch(userSpace("x86_64"));
	});
});

/** A processor as old as the kernel is meant for, and one that has everything. */
const kernels32 = [
	["vmlinuz-686", "pentium3"],
	["vmlinuz-686-pae", "max"],
] as const;

for (const [name, cpu] of kernels32) {
	describeWith([name, "busybox-i386"], `Debian's ${name}`, (kernel, busybox) => {
		test(`boots to user space on ${cpu} and switches off`, patient, async () => {
			const run = await boot(kernel, "quiet", ["--initrd", ramDisk(busybox), "--cpu", cpu]);
			expect(run).toMatchObject(switchedOff);
			expect(run.console).toMatch(userSpace("i686"));
			expect(run.console).toMatch(timer("IO-APIC"));
			expect(run.console).toContain(`model name	: tsvmm ${cpu}\n`);
		});
	});
}
