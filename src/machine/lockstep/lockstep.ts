import { setImmediate as turn } from "node:timers/promises";
import { assert, Bug } from "../../base/errors.ts";
import { hostMs } from "../../base/host-time.ts";
import { silentLogger } from "../../base/logger.ts";
import { nullSink } from "../../host/byte-writer.ts";
import type { UnitCompiler } from "../../vcpu/jit/compiler.ts";
import { Chassis, type ChassisParts } from "../chassis.ts";
import type { End, EndKind, MachineHost } from "../outcome.ts";
import { Requests } from "../requests.ts";
import { Sleep } from "../sleep.ts";
import { StateComparison } from "./processor-state.ts";
import { RecordedInput, type RepeatedInput } from "./recorded-input.ts";
import { differenceReport, ramDifference, type TracedInstruction, tracedInstruction } from "./report.ts";

/** Most instructions between two comparisons of the processors. */
const MOST_INSTRUCTIONS = 256;
/** Most steps of the run loop in a slice: guests may be busy without retiring anything. */
const MOST_STEPS = 512;
/** RAM is compared after as many instructions as it has bytes, over this. */
const RAM_BYTES_PER_INSTRUCTION = 8;
/** Slices between two looks at the host: a power of two. */
const SLICES = 64;
/** Host milliseconds between two turns of the event loop. */
const TURN_MS = 10;

/** Ends that come from outside of the guest: the second machine knows nothing of them. */
const FROM_OUTSIDE: ReadonlySet<EndKind> = new Set([
	"expected",
	"unwanted",
	"rom-write",
	"break",
	"signal",
	"output-error",
	"timeout",
	"killed",
]);

/** A machine in a lockstep run. */
interface Runner {
	readonly chassis: Chassis;
	readonly requests: Requests;
	/** What it hears; the first machine hears the host itself. */
	readonly inputs: readonly RepeatedInput[];
	/** Steps of its run loop in the slice in hand. */
	steps: number;
}

/**
 * Two machines from one configuration, one on the compiled engine and one on the interpreter, which must agree after every few
 * instructions. A third one follows a slice behind: where the two differ, it shows instruction by instruction how it came to that.
 */
export class Lockstep {
	/** The machine that the host sees. */
	readonly first: Chassis;
	private readonly compiled: Runner;
	private readonly interpreted: Runner;
	private readonly witness: Runner;
	private readonly comparison: StateComparison;
	private readonly compiler: UnitCompiler;
	private readonly parts: Omit<ChassisParts, "engine">;
	private readonly time: { ns: number };
	/** State of the generator of slice lengths. */
	private seed = 1;
	private nextRam = 0;
	/** The end of a slice that a debugger holds up. */
	private mark: number | undefined;

	/** @throws UserError when a machine cannot be built from its configuration. */
	static async build(parts: Omit<ChassisParts, "engine">): Promise<Lockstep> {
		const time = { ns: 0 };
		const hostTime = (): number => time.ns;
		const heard = (parts.host.keyboard ? [parts.host.keyboard] : []).concat(
			parts.host.serial.flatMap(({ input }) => (input ? [input] : [])),
		);
		const recorded = new Map(heard.map((source) => [source, new RecordedInput(source)]));
		const shadow = async (): Promise<Runner> => {
			const inputs = new Map([...recorded].map(([source, recording]) => [source, recording.follower()]));
			const host: MachineHost = {
				serial: parts.host.serial.map(({ input }) => ({
					output: nullSink,
					...(input ? { input: inputs.get(input)! } : {}),
				})),
				debugcon: nullSink,
				log: silentLogger,
				romWrites: { record: () => {} },
				...(parts.host.keyboard ? { keyboard: inputs.get(parts.host.keyboard)! } : {}),
			};
			const requests = new Requests(() => {});
			const own = { host, requests, sleep: new Sleep(), shadow: true, hostTime, engine: "interpreter" } as const;
			const { debug: _, ...shared } = parts;
			return { chassis: await Chassis.build({ ...shared, ...own }), requests, inputs: [...inputs.values()], steps: 0 };
		};
		const built: Chassis[] = [];
		try {
			const host: MachineHost = {
				...parts.host,
				serial: parts.host.serial.map(({ output, input }) => ({
					output,
					...(input ? { input: recorded.get(input)! } : {}),
				})),
				...(parts.host.keyboard ? { keyboard: recorded.get(parts.host.keyboard)! } : {}),
			};
			const first = await Chassis.build({ ...parts, host, hostTime, engine: "lockstep" });
			built.push(first);
			const compiled = { chassis: first, requests: parts.requests, inputs: [], steps: 0 };
			const interpreted = await shadow();
			built.push(interpreted.chassis);
			const witness = await shadow();
			return new Lockstep(parts, time, compiled, interpreted, witness);
		} catch (error) {
			for (const chassis of built) chassis.close();
			throw error;
		}
	}

	private constructor(
		parts: Omit<ChassisParts, "engine">,
		time: { ns: number },
		compiled: Runner,
		interpreted: Runner,
		witness: Runner,
	) {
		this.parts = parts;
		this.time = time;
		this.compiled = compiled;
		this.interpreted = interpreted;
		this.witness = witness;
		this.first = compiled.chassis;
		const { compiler, vcpu } = compiled.chassis;
		assert(compiler, "the compiled engine");
		this.compiler = compiler;
		this.comparison = new StateComparison(vcpu.processor, interpreted.chassis.vcpu.processor);
	}

	/**
	 * Runs until there is an end.
	 * @throws Bug with a report at the first difference.
	 */
	async run(): Promise<End> {
		const { requests, deadline, turned } = this.parts;
		let lastTurn = hostMs();
		for (let slices = 1; ; slices++) {
			this.time.ns = this.parts.hostTime();
			const nap = this.slice();
			if (requests.end !== undefined) {
				if (this.mark === undefined) this.compareRam();
				return requests.end;
			}
			if (this.mark !== undefined) await this.first.loop.rest();
			if (nap !== undefined) await this.first.loop.nap(nap);
			else if ((slices & (SLICES - 1)) !== 0) continue;
			const host = hostMs();
			if (host >= deadline) requests.finish({ kind: "timeout" });
			if (host - lastTurn < TURN_MS) continue;
			turned(this.first.pc);
			await turn();
			lastTurn = hostMs();
		}
	}

	/** Closes the machines that the host does not see. */
	close(): void {
		this.interpreted.chassis.close();
		this.witness.chassis.close();
	}

	/** Runs all machines a few instructions further and compares them. @returns milliseconds that the host may sleep. */
	private slice(): number | undefined {
		const { first, compiled, interpreted, witness } = this;
		const mark = this.mark ?? first.instructions + this.length();
		const nap = advance(compiled, mark);
		const { end } = compiled.requests;
		// The others follow when the slice is complete: where a debugger stops is not always where a count of instructions ends.
		const unfinished = nap === "held" || (this.mark !== undefined && end !== undefined && FROM_OUTSIDE.has(end.kind));
		this.mark = unfinished ? mark : undefined;
		if (nap === "held" || unfinished) return undefined;
		const reached = end && FROM_OUTSIDE.has(end.kind) ? first.instructions : mark;
		advance(interpreted, reached);
		if (!this.comparison.equal() || (reached === mark && end?.kind !== interpreted.requests.end?.kind)) this.report();
		advance(witness, reached);
		if (first.instructions >= this.nextRam) this.compareRam();
		return nap;
	}

	/** Short slices and long ones, always the same. */
	private length(): number {
		this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
		const most = this.seed & 0x40000000 ? MOST_INSTRUCTIONS : 16;
		return 1 + ((this.seed >>> 8) % most);
	}

	private compareRam(): void {
		const { first, interpreted } = this;
		const ram = first.pc.ram.view;
		const found = ramDifference(ram, interpreted.chassis.pc.ram.view);
		const since = Math.max(0, this.nextRam - ram.length / RAM_BYTES_PER_INSTRUCTION);
		if (found) throw new Bug(`lockstep: RAM differs; it was equal after ${since} instructions\n  ${found}`);
		this.nextRam = first.instructions + ram.length / RAM_BYTES_PER_INSTRUCTION;
	}

	/** The machines differ after this slice; the witness has not run it yet. */
	private report(): never {
		const { compiler, first, interpreted, witness } = this;
		const { processor } = witness.chassis.vcpu;
		const trace: TracedInstruction[] = [];
		const last = interpreted.chassis.instructions;
		for (let steps = 0; processor.retired() < last && steps < MOST_STEPS; steps++) {
			trace.push(tracedInstruction(processor, compiler, first.vcpu.processor));
			const before = processor.retired();
			for (let n = 0; processor.retired() === before && n < MOST_STEPS; n++) advance(witness, before + 1);
		}
		throw new Bug(
			differenceReport({
				differences: this.comparison.differences(),
				ends: [this.compiled, interpreted].map(({ requests }) => requests.end?.kind),
				places: [first, interpreted.chassis].map(({ loop }) => loop.where()),
				trace,
				compiler,
			}),
		);
	}
}

/** Runs a machine until `mark` instructions have retired, it sleeps, or its run ends. @returns milliseconds that it may sleep; `held` by a debugger. */
function advance(runner: Runner, mark: number): number | "held" | undefined {
	const { chassis, requests, inputs } = runner;
	for (const input of inputs) input.arrive();
	while (runner.steps < MOST_STEPS && chassis.instructions < mark && requests.end === undefined) {
		const step = chassis.loop.step(mark);
		if (step === "held") return step;
		// Where a debugger has stopped the guest, it takes more runs to retire as many instructions.
		if (step !== "budget") runner.steps++;
		if (typeof step === "number") {
			runner.steps = 0;
			return step;
		}
	}
	runner.steps = 0;
	return undefined;
}
