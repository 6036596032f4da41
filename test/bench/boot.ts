/**
 * How long boots take beside QEMU, from the start of the process to a text on the console: OVMF to its shell, Linux to user space.
 * `npx tsx test/bench/boot.ts`
 *
 * On the clock, and processor time of the whole process, user and system. QEMU waits in host time, tsvmm where instructions move the
 * guest's time does not.
 */
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { provided } from "../support/guest-files.ts";
import { initramfs, USER_SPACE } from "../support/initramfs.ts";
import { median } from "./measure.ts";

const ROUNDS = 3;
/** /proc counts processor time in these: USER_HZ of every Linux. */
const TICKS_PER_SECOND = 100;

const folder = mkdtempSync(join(tmpdir(), "tsvmm-boot-"));
const initrd = join(folder, "initramfs.gz");
const vars = join(folder, "vars.fd");
const tsvmm = [process.execPath, fileURLToPath(new URL("../../bin/tsvmm", import.meta.url)), "run", "--memory", "256M"];
const qemu = [
	"qemu-system-x86_64",
	"-accel",
	"tcg",
	"-m",
	"256",
	"-nodefaults",
	"-display",
	"none",
	"-serial",
	"stdio",
];
const pflash = (unit: number, file: string): string[] => ["-drive", `if=pflash,format=raw,unit=${unit},file=${file}`];

interface Boot {
	readonly name: string;
	/** What has been reached. */
	readonly text: string;
	readonly commands: { readonly tsvmm: readonly string[]; readonly qemu: readonly string[] };
	readonly prepare: () => void;
}

function boots(): Boot[] {
	const [code, template, kernel, busybox] = [
		provided("ovmf-code"),
		provided("ovmf-vars"),
		provided("vmlinuz-cloud-amd64"),
		provided("busybox-amd64"),
	];
	const all: Boot[] = [];
	if (code !== undefined && template !== undefined) {
		const drives = [...pflash(0, `${code},readonly=on`), ...pflash(1, vars)];
		all.push({
			name: "OVMF, first boot, to the shell",
			text: "Shell> ",
			commands: {
				tsvmm: [...tsvmm, "--flash", `${code},readonly`, "--flash", vars],
				qemu: [...qemu, "-M", "pc,smm=off", ...drives],
			},
			prepare: () => copyFileSync(template, vars),
		});
	}
	if (kernel !== undefined && busybox !== undefined) {
		const words = ["kernel", kernel, "initrd", initrd, "append", "console=ttyS0 quiet"];
		const flags = (dash: string): string[] => words.map((word, n) => (n % 2 === 0 ? dash + word : word));
		all.push({
			name: "Linux, to user space",
			text: USER_SPACE,
			commands: { tsvmm: [...tsvmm, ...flags("--")], qemu: [...qemu, ...flags("-")] },
			prepare: () => writeFileSync(initrd, initramfs(readFileSync(busybox))),
		});
	}
	return all;
}

interface Time {
	readonly clock: number;
	readonly processor: number;
}

/** User and system time of a process so far, in seconds (proc(5): stat, fields 14 and 15). */
function processorSeconds(pid: number): number {
	const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
	const [user, system] = stat
		.slice(stat.lastIndexOf(")") + 2)
		.split(" ")
		.slice(11, 13);
	return (Number(user) + Number(system)) / TICKS_PER_SECOND;
}

/** @throws Error when the process ends without the text. */
async function timeTo(text: string, [program = "", ...words]: readonly string[]): Promise<Time> {
	const began = performance.now();
	const child = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"] });
	const gone = new Promise((resolve) => child.on("exit", resolve));
	let said = "";
	let time: Time | undefined;
	for await (const piece of child.stdout.setEncoding("latin1")) {
		said += String(piece);
		if (!said.includes(text)) continue;
		time = { clock: (performance.now() - began) / 1000, processor: processorSeconds(child.pid ?? 0) };
		break;
	}
	child.kill("SIGKILL");
	// The next one opens the same files.
	await gone;
	if (time === undefined) throw new Error(`${program} never said ${JSON.stringify(text)}: ${said.slice(-300)}`);
	return time;
}

try {
	console.log("seconds on the clock, of processor time: tsvmm, QEMU, QEMU / tsvmm");
	for (const { name, text, commands, prepare } of boots()) {
		const times: { tsvmm: Time[]; qemu: Time[] } = { tsvmm: [], qemu: [] };
		for (let round = 0; round < ROUNDS; round++) {
			for (const who of ["tsvmm", "qemu"] as const) {
				prepare();
				times[who].push(await timeTo(text, commands[who]));
			}
		}
		for (const what of ["clock", "processor"] as const) {
			const [ours, theirs] = [times.tsvmm, times.qemu].map((some) => median(some.map((one) => one[what]))) as [
				number,
				number,
			];
			const numbers = [ours, theirs, theirs / ours].map((number) => number.toFixed(2).padStart(7));
			console.log(`${name.padEnd(32)} ${what.padEnd(10)} ${numbers.join(" ")}`);
		}
	}
} finally {
	rmSync(folder, { recursive: true });
}
