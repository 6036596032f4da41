/**
 * Runs the benchmark guests on tsvmm's engines, v86 and QEMU, interleaved in one run, and prints guest instructions per
 * second and ratios; then how long starting and stopping takes, and the most memory that was resident.
 *
 * `npm run bench -- --rows loop,fib --engines compiled,v86 --repeat 5`
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { type Engine, engines } from "./engines.ts";
import { geometricMean, median, type Run, run } from "./measure.ts";
import { exitRow, type Row, rows } from "./rows.ts";

const { values: options } = parseArgs({
	options: {
		rows: { type: "string", default: rows.map(({ name }) => name).join(",") },
		engines: { type: "string", default: engines.map(({ name }) => name).join(",") },
		repeat: { type: "string", default: "3" },
		timeout: { type: "string", default: "120" },
		json: { type: "string" },
		help: { type: "boolean", default: false },
	},
});
if (options.help) {
	console.log(`npm run bench -- [options]
  --rows NAMES     of ${rows.map(({ name }) => name).join(",")}; "" for none
  --engines NAMES  of ${engines.map(({ name }) => name).join(",")}
  --repeat N       runs of each row on each engine; the median counts (3)
  --timeout S      seconds a run may take (120)
  --json FILE      also writes every measurement there`);
	process.exit(0);
}

const repeat = Number(options.repeat);
const timeout = Number(options.timeout);
const chosenRows = pick("row", rows, options.rows);
const chosenEngines = pick("engine", engines, options.engines).filter((engine) => {
	const why = engine.missing();
	if (why !== undefined) console.log(`${engine.name}: left out, ${why}`);
	return why === undefined;
});
const runs: { row: string; engine: string; run: Run }[] = [];
const failures: string[] = [];

console.log(`${cpus()[0]?.model ?? "unknown processor"}, Node ${process.version}, median of ${repeat}`);
for (let round = 0; round < repeat; round++) {
	for (const row of chosenRows) await runOnAll(row, round);
}
for (let round = 0; round < Math.max(repeat, 5); round++) await runOnAll(exitRow, round);
printRows();
printStart();
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ runs, failures }, undefined, "\t")}\n`);
for (const failure of failures) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;

function pick<T extends { name: string }>(what: string, all: readonly T[], names: string): T[] {
	return names
		.split(",")
		.filter((name) => name !== "")
		.map((name) => {
			const found = all.find((one) => one.name === name);
			if (found !== undefined) return found;
			console.error(`no ${what} "${name}"; there are ${all.map((one) => one.name).join(", ")}`);
			return process.exit(2);
		});
}

/** Each round begins with another engine, so that none always runs on a machine another has warmed. */
async function runOnAll(row: Row, round: number): Promise<void> {
	for (let i = 0; i < chosenEngines.length; i++) {
		const engine = chosenEngines[(i + round) % chosenEngines.length]!;
		if (engine.command("", row.source !== undefined) === undefined) continue;
		if (failures.some((failure) => failure.startsWith(`${row.name} on ${engine.name}:`))) continue;
		try {
			runs.push({ row: row.name, engine: engine.name, run: await run(engine, row, timeout) });
		} catch (error) {
			failures.push(error instanceof Error ? error.message : String(error));
		}
	}
}

/** Millions of guest instructions per second; undefined where the row failed. */
function speed(row: Row, engine: string): number | undefined {
	const seconds = runs.filter((one) => one.row === row.name && one.engine === engine).map(({ run }) => run.seconds);
	return seconds.length === 0 ? undefined : row.instructions / 1e6 / median(seconds);
}

function printRows(): void {
	if (chosenRows.length === 0) return;
	const names = chosenEngines.map(({ name }) => name);
	const ratios = [
		["compiled", "v86"],
		["compiled", "qemu"],
		["interpreter", "v86"],
	].filter((pair) => pair.every((name) => names.includes(name))) as [string, string][];
	const ratio = (row: Row, [above, below]: [string, string]): number | undefined => {
		const [a, b] = [speed(row, above), speed(row, below)];
		return a === undefined || b === undefined ? undefined : a / b;
	};
	const mean = (values: readonly (number | undefined)[]): number | undefined => {
		const known = values.filter((value) => value !== undefined);
		return known.length === 0 ? undefined : geometricMean(known);
	};

	/** Time of a row's 32-bit twin, over its own. */
	const twin = (row: Row): number | undefined => {
		const times = [row.source, row.name].map((name) =>
			runs.filter((one) => one.row === name && one.engine === "compiled").map(({ run }) => run.seconds),
		) as [number[], number[]];
		return times.some((some) => some.length === 0) ? undefined : median(times[0]) / median(times[1]);
	};

	console.log("\nmillion guest instructions per second");
	console.log(line("", [...names, ...ratios.map((pair) => pair.join("/")), "64 to 32 bits"]));
	for (const row of chosenRows) {
		const cells = [
			...names.map((name) => speed(row, name)?.toFixed(0)),
			...ratios.map((pair) => ratio(row, pair)?.toFixed(2)),
			twin(row)?.toFixed(2),
		];
		console.log(line(row.name, cells));
	}
	const means = [
		...names.map((name) => mean(chosenRows.map((row) => speed(row, name)))?.toFixed(0)),
		...ratios.map((pair) => mean(chosenRows.map((row) => ratio(row, pair)))?.toFixed(2)),
		mean(chosenRows.map(twin))?.toFixed(2),
	];
	console.log(line("mean", means));
}

function printStart(): void {
	console.log("\na guest that exits at once: seconds from process start to exit, and peak resident MiB");
	for (const { name } of chosenEngines as Engine[]) {
		const measured = runs.filter((one) => one.row === exitRow.name && one.engine === name).map(({ run }) => run);
		if (measured.length === 0) continue;
		const seconds = median(measured.map(({ wholeSeconds }) => wholeSeconds));
		const memory = median(measured.map(({ peakMebibytes }) => peakMebibytes));
		console.log(line(name, [seconds.toFixed(3), memory.toFixed(0)]));
	}
}

function line(name: string, cells: readonly (string | undefined)[]): string {
	return name.padEnd(12) + cells.map((cell) => (cell ?? "-").padStart(16)).join("");
}
