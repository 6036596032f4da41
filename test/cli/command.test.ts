import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { ROM_WRITE } from "../support/rom-write.ts";
import type { Step } from "../support/scripted-machine.ts";

const folder = mkdtempSync(join(tmpdir(), "tsvmm-command-"));
afterAll(() => rmSync(folder, { recursive: true }));

const command = fileURLToPath(new URL("../support/scripted-command.ts", import.meta.url));
const node = ["--import", import.meta.resolve("tsx"), command];

/** The script as JSON: numbers for bigints and arrays for bytes, which the command turns back. */
function environment(steps: readonly (Step | { throws: string } | { romWrite: object })[]): NodeJS.ProcessEnv {
	return { ...process.env, TSVMM_TEST_SCRIPT: JSON.stringify(steps), NO_COLOR: "1" };
}

interface Ran {
	readonly status: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

function tsvmm(words: readonly string[], steps: Parameters<typeof environment>[0] = [], input = ""): Ran {
	const { status, stdout, stderr } = spawnSync(process.execPath, [...node, ...words], {
		cwd: folder,
		env: environment(steps),
		encoding: "utf8",
		input,
		timeout: 60_000,
	});
	return { status, stdout, stderr };
}

/** Host time differs from run to run. */
const withoutHostTime = (text: string): string => text.replace(/, [^,]* of host time/, "");

const romWrite = {
	...ROM_WRITE,
	gpa: 0xffff0000,
	data: [0x5a],
	old: [0xff],
	target: 0xffff0000,
	rip: 0x100,
	linear: 0xf0100,
	code: [0x88, 0x07],
	instructions: 7,
	timeNs: 8,
};

describe("a run", () => {
	it("standard output is the guest's alone; what tsvmm says is on standard error", () => {
		const { status, stdout, stderr } = tsvmm(["run", "--bios", "x"], [{ serial: "hello\r\n" }]);
		expect({ status, stdout, stderr: withoutHostTime(stderr) }).toEqual({
			status: 0,
			stdout: "hello\r\n",
			stderr: "tsvmm: the guest switched the power off; 1,000 instructions, 1 us of guest time\n",
		});
	});

	it("with --log error, success is silent and failure is not", () => {
		expect(tsvmm(["run", "--bios", "x", "--log", "error"]).stderr).toBe("");
		const failed = tsvmm(["run", "--bios", "x", "--log", "error"], [{ end: { kind: "triple-fault", detail: "#GP" } }]);
		expect(failed.stderr).toContain("tsvmm: triple fault: #GP");
	});

	it("consoles go where they are told", () => {
		const steps = [{ serial: "one" }, { serial: "two", port: 1 }, { debugcon: "log\n" }];
		const { stdout } = tsvmm(
			["run", "--bios", "x", "--serial", "file:com1", "--serial", "stdio", "--debugcon", "file:debug"],
			steps,
		);
		expect([stdout, readFileSync(join(folder, "com1"), "utf8"), readFileSync(join(folder, "debug"), "utf8")]).toEqual([
			"two",
			"one",
			"log\n",
		]);
	});

	it("input reaches COM1", () => {
		expect(tsvmm(["run", "--bios", "x"], [{ echo: true }], "typed\n").stdout).toBe("typed\n");
	});

	it("options win over the machine file", () => {
		writeFileSync(join(folder, "m.yaml"), "bios: x\nexpect: never\nserial: file:unused\n");
		const { status, stdout } = tsvmm(
			["run", "m.yaml", "--expect", "ready", "--serial", "stdio"],
			[{ serial: "ready" }],
		);
		expect([status, stdout, existsSync(join(folder, "unused"))]).toEqual([0, "ready", false]);
	});

	it("a warning is one readable line", () => {
		const { stderr } = tsvmm(["run", "--bios", "x"], [{ log: "unknown register" }]);
		expect(stderr).toMatch(/^warn: unknown register {2}port=1016\ntsvmm: /);
	});
});

describe("exit statuses", () => {
	it.each([
		["debug exit 0", { kind: "debug-exit", value: 0 }, [], 0],
		["debug exit 118", { kind: "debug-exit", value: 118 }, [], 118],
		["debug exit 119", { kind: "debug-exit", value: 119 }, [], 119],
		["debug exit 120 and above", { kind: "debug-exit", value: 0x1234 }, [], 119],
		["debug exit in QEMU's encoding", { kind: "debug-exit", value: 0x10 }, ["--debug-exit-encoding", "qemu"], 33],
		["instruction limit", { kind: "instruction-limit" }, [], 120],
		["guest time limit", { kind: "guest-time-limit" }, [], 121],
		["triple fault", { kind: "triple-fault", detail: "" }, [], 122],
		["no code", { kind: "no-code", detail: "" }, [], 203],
		["halted", { kind: "halted", detail: "" }, [], 123],
		["timeout", { kind: "timeout" }, [], 124],
		["power off with a text missing", { kind: "power-off" }, ["--expect", "never"], 200],
		["timeout with a text missing", { kind: "timeout" }, ["--expect", "never"], 124],
		["a guest's own failure with a text missing", { kind: "debug-exit", value: 3 }, ["--expect", "never"], 3],
	] as const)("%s", (_name, end, words, status) => {
		expect(tsvmm(["run", "--bios", "x", ...words], [{ end }]).status).toBe(status);
	});

	it("every expected text: success at once, whatever would have followed", () => {
		const { status, stdout } = tsvmm(
			["run", "--bios", "x", "--expect", "rea", "--expect", "log"],
			[{ debugcon: "log" }, { serial: "ready" }, { end: { kind: "triple-fault", detail: "" } }],
		);
		expect([status, stdout]).toEqual([0, "rea"]);
	});

	it("an unwanted text: failure at once, named", () => {
		const { status, stderr } = tsvmm(
			["run", "--bios", "x", "--fail-on", "panic"],
			[{ serial: "panic!" }, { wait: true }],
		);
		expect([status, stderr]).toEqual([201, expect.stringContaining('the text "panic" appeared (--fail-on)')]);
	});

	it("an error of tsvmm's own: 125, the guest's output first, and a request to report", () => {
		const { status, stdout, stderr } = tsvmm(["run", "--bios", "x"], [{ serial: "so far" }, { throws: "a bug" }]);
		expect([status, stdout]).toEqual([125, "so far"]);
		expect(stderr).toMatch(
			/^tsvmm: internal error; please report it together with what follows\nError: a bug\n {4}at /,
		);
	});
});

describe("stores to ROM", () => {
	const words = ["run", "--bios", "x", "--rom-writes"];
	const steps = [{ romWrite }, { romWrite: { ...romWrite, gpa: 0xffff0001 } }, { end: { kind: "power-off" } as const }];
	const line =
		"ROM write: 0xffff0000 (bios) <- 0x5a, 1 byte; it holds 0xff, by f000:0100 (linear 0xf0100) mov [bx], al, in real mode, CPL 0, after 7 instructions, 8 ns";

	it("summary: summed up at the end", () => {
		expect(tsvmm([...words, "summary"], steps).stderr).toContain(
			"ROM writes: 2 stores from 1 instruction; the ROM is unchanged\n  0xffff0000..0xffff0001 (bios) <- first 0x5a, 1 byte; it holds 0xff, 2 times\n",
		);
	});

	it("log: each one as it happens", () => {
		expect(tsvmm([...words, "log"], steps).stderr.startsWith(`${line}\n${line.replace("0000 (", "0001 (")}\n`)).toBe(
			true,
		);
	});

	it("stop: the first one ends the run with a status of its own", () => {
		const { status, stderr } = tsvmm([...words, "stop"], steps);
		expect([status, stderr]).toEqual([202, expect.stringContaining("ROM writes: 1 store from 1 instruction")]);
	});

	it("off: nothing is said", () => {
		expect(tsvmm([...words, "off"], steps).stderr).not.toContain("ROM");
	});
});

describe("--result", () => {
	it("tells everything about the run as JSON", () => {
		const steps = [{ romWrite }, { end: { kind: "debug-exit", value: 500 } as const }];
		const place = { gpa: "0xffff0000", target: "0xffff0000", size: 1, storeSize: 1 };
		const sample = { ...place, value: "5a", old: "ff", instructions: 7, timeNs: 8 };
		tsvmm(["run", "--bios", "x", "--expect", "never", "--result", "result.json"], steps);
		expect(JSON.parse(readFileSync(join(folder, "result.json"), "utf8"))).toEqual({
			format: "tsvmm-result",
			version: 1,
			outcome: "debug-exit",
			value: 500,
			status: 119,
			missing: ["never"],
			instructions: 2000,
			guestTimeNs: 2000,
			hostTimeMs: expect.any(Number),
			romWrites: {
				stores: 1,
				commands: 0,
				rows: [
					{
						count: 1,
						bytes: 1,
						region: "bios",
						by: "instruction",
						faulted: false,
						cs: "0xf000",
						rip: "0x100",
						linear: "0xf0100",
						code: "88 07",
						instruction: "mov [bx], al",
						mode: "real",
						cpl: 0,
						cpu: 0,
						stacks: [],
						stacksLeftOut: false,
						ranges: [{ first: "0xffff0000", last: "0xffff0000", count: 1 }],
						rangesJoined: false,
						samples: [sample],
						last: sample,
						timeline: { slotNs: 1000, counts: [1] },
					},
				],
				unlisted: { stores: 0, commands: 0 },
				regions: [{ name: "bios", first: "0xfffc0000", last: "0xffffffff" }],
				timeline: { slotNs: 1000, counts: [1] },
			},
			flash: [],
			ramSha256: "00".repeat(32),
		});
	});
});

describe("--flash-log", () => {
	const steps: readonly Step[] = [
		{ flash: { kind: "erase", block: 3, offset: 0x3000, length: 0x1000 } },
		{ flash: { kind: "read-array", offset: 0x3000 } },
	];

	it("is text, or lines of JSON where the name of its file says so", () => {
		tsvmm(["run", "--bios", "x", "--flash-log", "flash.txt"], steps);
		expect(readFileSync(join(folder, "flash.txt"), "utf8").split("\n")).toEqual([
			"  0.000001 s  #1000  f000:fff0  flash 0: erase block 3 (0x3000 to 0x3fff)",
			"  0.000002 s  #2000  f000:fff0  flash 0: read array",
			"flash 0: 0 bytes programmed, 0 ROMD switches, erased: block 3 once",
			"",
		]);
		tsvmm(["run", "--bios", "x", "--flash-log", "flash.jsonl"], steps);
		const [first = ""] = readFileSync(join(folder, "flash.jsonl"), "utf8").split("\n");
		expect(JSON.parse(first)).toMatchObject({ unit: 0, kind: "erase", block: 3, erases: 1, ip: "0xfff0" });
	});
});

describe("wrong usage: status 2 and one message", () => {
	it.each([
		[["run", "--memroy", "3"], "tsvmm: unknown option '--memroy' (did you mean --memory?)\n"],
		[["run", "--bios"], "tsvmm: option '--bios <FILE>' argument missing (--help says more)\n"],
		[["rnu"], "tsvmm: unknown command 'rnu' (did you mean run?)\n"],
		[["run", "a", "b"], "tsvmm: too many arguments for 'run': expected 1 argument but got 2 (--help says more)\n"],
		[
			["run"],
			"tsvmm: nothing to boot: give a kernel with --kernel FILE, firmware with --firmware ovmf or seabios, or its image with --bios FILE or --flash FILE\n",
		],
		[
			["run", "--bios", "x", "-m", "12Q"],
			'tsvmm: --memory: "12Q" is not a size; write bytes or a number with K, M or G, such as 128M\n',
		],
		[["run", "none.yaml"], "tsvmm: machine file none.yaml does not exist\n"],
		[["run", "--bios", "x", "--serial", "file:no/where"], "tsvmm: --serial: no/where does not exist\n"],
		[["run", "--bios", "x", "--result", "."], "tsvmm: --result: . is a folder, not a file\n"],
		[["run", "--bios", "x", "--flash-log", "."], "tsvmm: --flash-log: . is a folder, not a file\n"],
		[["flash", "info", "nowhere.fd"], "tsvmm: flash: nowhere.fd does not exist\n"],
	])("%j", (words, message) => {
		const { status, stdout, stderr } = tsvmm(words);
		expect({ status, stdout, stderr }).toEqual({
			status: 2,
			stdout: "",
			stderr: message,
		});
	});
});

describe("other commands", () => {
	it("--version prints the package's version", () => {
		const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
			version: string;
		};
		expect(tsvmm(["--version"])).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
	});

	it("help fits into 80 columns where there is no terminal, its options grouped", () => {
		const { stdout } = tsvmm(["run", "--help"]);
		expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
		expect(stdout).toMatch(
			/\nThe machine:\n {2}-M, --machine <pc> +the board.*\nConsoles:\n {2}--serial .*\nHow a run ends:\n/s,
		);
	});

	it("help into a closed pipe ends without a word", () => {
		const { status, stderr } = spawnSync(
			"sh",
			["-c", '"$@" | :; exit 0', "sh", process.execPath, ...node, "run", "--help"],
			{
				env: environment([]),
				encoding: "utf8",
			},
		);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	});

	it("--help lists the commands, run --help the exit statuses", () => {
		expect(tsvmm(["--help"]).stdout).toMatch(/ {2}run \[options\] \[machine-file\] +boot a machine\n/);
		expect(tsvmm(["run", "--help"]).stdout).toMatch(/\nExit status:\n {2}0 +the guest switched off/);
	});

	it("schema prints the published schema", () => {
		const published = readFileSync(new URL("../../schema/machine-file.schema.json", import.meta.url), "utf8");
		expect(tsvmm(["schema"]).stdout).toBe(published);
	});
});

describe("isa", () => {
	it("explains an instruction by mnemonic or encoding", () => {
		expect(tsvmm(["isa", "adc"]).stdout).toMatch(/^ADC\b.*: Add with carry\n/);
		expect(tsvmm(["isa", "83", "/2"]).stdout).toMatch(/^ADC\b.*: Add with carry\n/);
	});

	it("without a query shows the opcode maps", () => {
		const { stdout } = tsvmm(["isa"]);
		expect(stdout).toMatch(/^one-byte opcodes\n\n {3}x0 /);
		expect(stdout).toMatch(/\n0F AF \/r +IMUL Gv, Ev\n/);
	});

	it("an unknown instruction is a mistake of the user's", () => {
		expect(tsvmm(["isa", "frobnicate"])).toMatchObject({
			status: 2,
			stdout: "",
			stderr: expect.stringContaining('"frobnicate"'),
		});
	});
});

describe("signals", () => {
	/** Starts a guest that prints and then waits, sends the signal, and collects what came out. */
	async function interrupted(signal: NodeJS.Signals): Promise<Ran> {
		const child = spawn(process.execPath, [...node, "run", "--bios", "x"], {
			env: environment([{ serial: "before" }, { wait: true }]),
			stdio: ["ignore", "pipe", "pipe"],
		});
		let [stdout, stderr] = ["", ""];
		const status = new Promise<number | null>((resolve) => child.once("close", resolve));
		child.stderr.on("data", (chunk) => {
			stderr += String(chunk);
		});
		await new Promise<void>((resolve) => {
			child.stdout.on("data", (chunk) => {
				stdout += String(chunk);
				resolve();
			});
		});
		child.kill(signal);
		return { status: await status, stdout, stderr };
	}

	it.each([
		["SIGINT", 130, "tsvmm: interrupted; "],
		["SIGTERM", 143, "tsvmm: ended by SIGTERM; "],
		["SIGHUP", 129, "tsvmm: ended by SIGHUP; "],
	] as const)("%s ends the run in good order", async (signal, status, message) => {
		expect(await interrupted(signal)).toEqual({ status, stdout: "before", stderr: expect.stringContaining(message) });
	});

	it("a reader that goes away ends the run", async () => {
		const child = spawn(process.execPath, [...node, "run", "--bios", "x", "--log", "off"], {
			env: environment([{ serial: "a" }, { wait: true }]),
			stdio: ["ignore", "pipe", "ignore"],
		});
		child.stdout.destroy();
		const status = await Promise.race([
			new Promise((resolve) => child.once("close", resolve)),
			sleep(10_000, "still running"),
		]);
		child.kill("SIGKILL");
		expect(status).toBe(141);
	});
});
