/**
 * Records the flat views of QEMU's `pc`: npx tsx test/golden/flatview/record.ts (needs qemu-system-x86_64; the files are
 * those of version 7.2). No guest code runs: registers are written through QEMU's qtest interface.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { Qtest } from "../../support/qtest.ts";
import { type FlatViewCase, flatViewCases } from "./cases.ts";

const folder = mkdtempSync(join(tmpdir(), "flatview-"));

function image(name: string, size: number): string {
	const path = join(folder, name);
	writeFileSync(path, new Uint8Array(size).fill(0xff));
	return path;
}

function options(machine: FlatViewCase): string[] {
	const args = ["-M", "pc", "-m", String(machine.memoryMiB), "-vga", machine.vga ? "std" : "none"];
	args.push("-qmp", `unix:${join(folder, machine.name)},server=on,wait=off`);
	if (machine.bios !== undefined) args.push("-bios", image("bios", machine.bios));
	machine.flash?.forEach((size, unit) => {
		args.push("-drive", `if=pflash,format=raw,unit=${unit},file=${image(`flash${unit}`, size)}`);
	});
	return args;
}

/** The next line that `accept` likes. */
function line(lines: Interface, accept: (text: string) => boolean): Promise<string> {
	return new Promise((resolve) => {
		const listen = (text: string): void => {
			if (!accept(text)) return;
			lines.off("line", listen);
			resolve(text);
		};
		lines.on("line", listen);
	});
}

async function open(path: string): Promise<Socket> {
	for (;;) {
		const socket = connect(path);
		const connected = await new Promise<boolean>((resolve) => {
			socket.once("connect", () => resolve(true));
			socket.once("error", () => resolve(false));
		});
		if (connected) return socket;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

async function record(machine: FlatViewCase): Promise<string> {
	const qemu = new Qtest(options(machine));
	const config = async (register: number, value: number): Promise<void> => {
		await qemu.command(`outl 0xcf8 0x${(0x8000_0000 + (register & ~3)).toString(16)}`);
		await qemu.command(`outb 0x${(0xcfc + (register & 3)).toString(16)} 0x${value.toString(16)}`);
	};
	for (const [i, value] of (machine.pam ?? []).entries()) await config(0x59 + i, value);
	if (machine.smram !== undefined) await config(0x72, machine.smram);
	if (machine.flashCommand !== undefined) {
		const below = (machine.flash ?? []).slice(0, machine.flashCommand.unit + 1).reduce((sum, size) => sum + size, 0);
		await qemu.command(`writeb 0x${(2 ** 32 - below).toString(16)} 0x${machine.flashCommand.command.toString(16)}`);
	}
	const monitor = await open(join(folder, machine.name));
	const replies = createInterface(monitor);
	const send = async (command: object): Promise<string> => {
		const reply = line(replies, (text) => text.includes('"return"'));
		monitor.write(`${JSON.stringify(command)}\n`);
		return String((JSON.parse(await reply) as { return: unknown }).return);
	};
	await send({ execute: "qmp_capabilities" });
	const text = await send({ execute: "human-monitor-command", arguments: { "command-line": "info mtree -f" } });
	monitor.destroy();
	qemu.close();
	// The views' order, and with it their numbers, differ from run to run: keep the memory's, without its number.
	const views = text.replaceAll("\r", "").split(/FlatView #\d+\n/);
	const memory = views.find((view) => view.includes('AS "memory"'));
	if (memory === undefined) throw new Error(`${machine.name}: no view of memory in ${text}`);
	return `${memory.trimEnd()}\n`;
}

for (const machine of flatViewCases) writeFileSync(new URL(`${machine.name}.txt`, import.meta.url), await record(machine));
rmSync(folder, { recursive: true });
