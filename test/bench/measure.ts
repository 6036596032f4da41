import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Engine, image } from "./engines.ts";
import type { Row } from "./rows.ts";

/** One run of one guest on one engine. */
export interface Run {
	/** From the guest's `start` line to its `done` line, in seconds. */
	readonly seconds: number;
	/** From starting the process to its end, in seconds. */
	readonly wholeSeconds: number;
	/** The most memory that was resident, in MiB; 0 where the system does not tell. */
	readonly peakMebibytes: number;
}

const SAMPLE_MILLISECONDS = 5;

/**
 * Runs `row` on `engine`.
 *
 * @throws Error when the guest does not finish within `timeout` seconds, its checksum is wrong or the process fails
 */
export async function run(engine: Engine, row: Row, timeout: number): Promise<Run> {
	const command = engine.command(image(row.name), row.source !== undefined);
	if (command === undefined) throw new Error(`${row.name} on ${engine.name}: there is no 64-bit mode`);
	const [program, ...parameters] = command;
	return new Promise((resolve, reject) => {
		const began = performance.now();
		const child = spawn(program, parameters, { stdio: ["ignore", "pipe", "pipe"] });
		const output: string[] = [];
		const errors: string[] = [];
		let line = "";
		let started = Number.NaN;
		let done = Number.NaN;
		let peak = 0;
		const sampler = setInterval(() => {
			peak = Math.max(peak, residentPeak(child.pid));
		}, SAMPLE_MILLISECONDS);
		const killer = setTimeout(() => child.kill("SIGKILL"), timeout * 1000);

		child.stdout.setEncoding("latin1").on("data", (text: string) => {
			const now = performance.now();
			line += text;
			for (let end = line.indexOf("\n"); end >= 0; end = line.indexOf("\n")) {
				const whole = line.slice(0, end).trim();
				line = line.slice(end + 1);
				output.push(whole);
				if (whole === `start ${row.name}`) started = now;
				if (whole === `done ${row.name} ${row.checksum}`) {
					done = now;
					peak = Math.max(peak, residentPeak(child.pid));
				}
			}
		});
		child.stderr.setEncoding("utf8").on("data", (text: string) => errors.push(text));
		child.on("error", reject);
		child.on("close", (status, signal) => {
			clearInterval(sampler);
			clearTimeout(killer);
			const wholeSeconds = (performance.now() - began) / 1000;
			if (status === engine.status && done >= started) {
				resolve({ seconds: (done - started) / 1000, wholeSeconds, peakMebibytes: peak });
				return;
			}
			const why = signal === "SIGKILL" ? `not done after ${timeout} s` : `status ${status ?? signal}`;
			const said = [...output, ...errors].join(" | ").slice(0, 300);
			reject(new Error(`${row.name} on ${engine.name}: ${why}; it said: ${said}`));
		});
	});
}

/** The high-water mark of a process's resident memory, in MiB; 0 where /proc does not tell. */
function residentPeak(pid: number | undefined): number {
	try {
		const [, kibibytes = "0"] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
		return Number(kibibytes) / 1024;
	} catch {
		return 0;
	}
}

/** The middle value; of an even number of values the mean of the middle two. */
export function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const middle = sorted.length >> 1;
	const upper = sorted[middle] ?? Number.NaN;
	return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export function geometricMean(values: readonly number[]): number {
	return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
