import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** QEMU with a stopped processor, its devices reached through qtest's protocol on stdin and stdout. */
export class Qtest {
	private readonly process: ChildProcessByStdio<Writable, Readable, null>;
	private readonly lines: Interface;
	private readonly waiting: ((line: string) => void)[] = [];

	constructor(args: readonly string[], program = "qemu-system-i386") {
		const fixed = ["-accel", "tcg", "-S", "-nodefaults", "-display", "none", "-qtest", "stdio"];
		this.process = spawn(program, [...fixed, ...args], { stdio: ["pipe", "pipe", "ignore"] });
		this.lines = createInterface({ input: this.process.stdout });
		this.lines.on("line", (line) => {
			if (/^(OK|FAIL|ERR)/.test(line)) this.waiting.shift()?.(line);
		});
	}

	/** Sends one command such as `readb 0x1000` and gives its answer without the leading OK. */
	command(text: string): Promise<string> {
		return new Promise((resolve, reject) => {
			this.waiting.push((line) => (line.startsWith("OK") ? resolve(line.slice(3)) : reject(new Error(line))));
			this.process.stdin.write(`${text}\n`);
		});
	}

	async number(text: string): Promise<number> {
		return Number(await this.command(text));
	}

	close(): void {
		this.lines.close();
		this.process.kill("SIGKILL");
	}
}
