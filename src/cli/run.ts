import { closeSync, openSync } from "node:fs";
import { assert, UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";
import { hostMs } from "../base/host-time.ts";
import type { MachineConfig } from "../config/index.ts";
import { type GivenOptions, resolveConfig } from "../config/resolve.ts";
import type { GdbServer } from "../debug/gdb/server.ts";
import { RomWriteJournal } from "../debug/rom-write-journal.ts";
import type { GuestView } from "../debug/symbols/guest-view.ts";
import type { Frame, Symbols } from "../debug/symbols/symbols.ts";
import { FileWriter, writeFully } from "../host/byte-writer.ts";
import { Expectations } from "../host/expectations.ts";
import { isTerminal } from "../host/terminal.ts";
import type { TextCells } from "../host/text-screen.ts";
import { favourMainThread } from "../host/thread-priority.ts";
import type { MachineHost, Outcome, RunningMachine, StopReason } from "../machine/outcome.ts";
import { Consoles, lost } from "./consoles.ts";
import { Display } from "./display.ts";
import { exitStatus, STATUS, signalStatus } from "./exit-status.ts";
import type { FlashLog } from "./flash-log/flash-log.ts";
import { currentStack, finalStack, stackLines, storeExplainer, symbolsOf } from "./guest-place.ts";
import { createLogger } from "./log.ts";
import { Messages, type Paint, painter } from "./messages.ts";
import { endText, flashLines, outcomeLine, resultJson } from "./report.ts";
import { Tracer } from "./tracer.ts";

/** Builds the machine; loaded only when everything that the user wrote is known to be right. */
export type Boot = (config: MachineConfig, host: MachineHost) => Promise<RunningMachine>;

/** `tsvmm run`: the exit status. */
export async function run(file: string | undefined, flags: GivenOptions, boot: Boot): Promise<number> {
	const fromFile = file === undefined ? [] : [(await import("../config/machine-file.ts")).readMachineFile(file)];
	const session = new Session(resolveConfig(...fromFile, flags), await painter());
	try {
		return await session.run(boot);
	} finally {
		session.close();
	}
}

/** Host milliseconds between two progress lines. */
const PROGRESS = 500;

/** Milliseconds behind which a run is long enough to care about the priorities of its threads. */
const SETTLED_MS = 30;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** One run: the machine and everything around it. */
class Session {
	private readonly config: MachineConfig;
	private readonly messages: Messages;
	private readonly expectations: Expectations;
	private readonly consoles: Consoles;
	private readonly journal: RomWriteJournal;
	private readonly result: number | undefined;
	private readonly tracer: Tracer | undefined;
	private readonly dirtyLog: number | undefined;
	/** The file of `--flash-log`, and what is written to it once there is a machine. */
	private readonly flashLogFile: FileWriter | undefined;
	private flashLog: FlashLog | undefined;
	private readonly display: Display | undefined;
	private machine: RunningMachine | undefined;
	private symbols: Symbols | undefined;
	/** Why to stop, for as long as there is no machine to tell. */
	private early: StopReason | undefined;

	/** @throws UserError when a file that the run writes to cannot be created. */
	constructor(config: MachineConfig, paint: Paint) {
		this.config = config;
		const stop = (reason: StopReason): void => this.stop(reason);
		this.expectations = new Expectations(config.expect, config.failOn, stop);
		this.consoles = new Consoles(config, this.expectations, stop);
		this.messages = new Messages(paint, () => this.consoles.stdout.flush());
		this.journal = new RomWriteJournal({
			log: config.romWrites === "log" ? (line) => this.messages.line(line) : undefined,
			explainer: config.romWrites === "off" ? undefined : storeExplainer(this.view, () => this.loadSymbols()),
		});
		this.display = config.display === "text" ? new Display(this.consoles.stdout, isTerminal(1)) : undefined;
		this.flashLogFile =
			config.flashLog === undefined
				? undefined
				: new FileWriter(config.flashLog, "--flash-log", (error) =>
						stop(lost(`--flash-log: ${config.flashLog}`, error)),
					);
		this.tracer =
			config.trace.length === 0
				? undefined
				: new Tracer(config, this.messages, (error) => stop(lost(`--trace-file: ${config.traceFile}`, error)));
		this.dirtyLog = config.dirtyLog === undefined ? undefined : createFile(config.dirtyLog, "--dirty-log");
		this.result = config.result === undefined ? undefined : createFile(config.result, "--result");
	}

	/** Runs the machine and says how it went. */
	async run(boot: Boot): Promise<number> {
		const started = hostMs();
		for (const signal of SIGNALS) process.on(signal, this.onSignal);
		// What the user names must be there before the machine runs; all else can wait until somebody asks where the guest is.
		if (this.config.symbols.length > 0) this.loadSymbols();
		if (this.flashLogFile !== undefined) this.flashLog = await this.openFlashLog(this.flashLogFile);
		const debug = await this.listen();
		const machine = await boot(this.config, this.host(debug));
		this.machine = machine;
		if (this.early !== undefined) machine.stop(this.early);
		const progress = this.showProgress(machine);
		const favour = setTimeout(favourMainThread, SETTLED_MS);
		try {
			const outcome = await machine.run();
			const took = hostMs() - started;
			const stack = finalStack(outcome.end.kind, this.view, () => this.loadSymbols());
			const status = this.report(outcome, machine, took, stack);
			debug?.finish(status);
			return status;
		} finally {
			clearInterval(progress);
			clearTimeout(favour);
			debug?.close();
		}
	}

	/** A way in for debuggers, where one is wanted. @throws UserError where it cannot be had. */
	private async listen(): Promise<GdbServer | undefined> {
		const { gdb, pause = false, logLevel } = this.config;
		if (gdb === undefined) return undefined;
		const { GdbServer } = await import("../debug/gdb/server.ts");
		const topics = {
			romWrites: () => this.journal.summary(),
			where: () => stackLines(currentStack(this.view, this.loadSymbols())),
		};
		const server = await GdbServer.listen({ address: gdb, waits: pause, topics });
		if (logLevel !== "off" && logLevel !== "error") {
			const waits = pause ? "waiting for a debugger" : "a debugger may come";
			this.messages.line(`tsvmm: ${waits}: target remote ${server.where}`, "quiet");
			this.messages.flush();
		}
		return server;
	}

	/** Everything is brought out, files are closed and the terminal is as it was. May be called repeatedly. */
	close(): void {
		for (const signal of SIGNALS) process.off(signal, this.onSignal);
		this.display?.close();
		this.consoles.close();
		this.flashLog?.finish();
		this.flashLog = undefined;
		this.flashLogFile?.close();
		this.tracer?.close();
		this.messages.progress("");
		this.messages.flush();
	}

	private readonly view = (): GuestView => {
		assert(this.machine, "a place in a machine");
		return this.machine.view;
	};

	private loadSymbols(): Symbols | undefined {
		this.symbols ??= symbolsOf(this.config, this.view, (message) => this.messages.line(`tsvmm: ${message}`, "bad"));
		return this.symbols;
	}

	private host(debug: GdbServer | undefined): MachineHost {
		const { config, messages, display, dirtyLog, flashLog } = this;
		return {
			serial: this.consoles.serial,
			debugcon: this.consoles.debugcon,
			...(this.consoles.keyboard ? { keyboard: this.consoles.keyboard } : {}),
			log: createLogger(config.logLevel, (line) => messages.line(line)),
			romWrites: this.journal,
			...(this.tracer ? { trace: this.tracer.take } : {}),
			...(flashLog === undefined ? {} : { flash: flashLog }),
			...(debug === undefined ? {} : { debugger: describing(debug) }),
			...(dirtyLog === undefined ? {} : { dirtyLog: (line: string) => writeFully(dirtyLog, Buffer.from(`${line}\n`)) }),
			...(display === undefined ? {} : { screen: (screen: TextCells) => display.show(screen) }),
		};
	}

	/** Its code is loaded only where it is wanted. */
	private async openFlashLog(file: FileWriter): Promise<FlashLog> {
		const { FlashLog } = await import("./flash-log/flash-log.ts");
		const machine = (): RunningMachine => {
			assert(this.machine !== undefined, "a flash is told something by a machine");
			return this.machine;
		};
		const json = /\.jsonl?$/i.test(this.config.flashLog ?? "");
		return new FlashLog(machine, json, (line) => file.writeText(`${line}\n`));
	}

	private stop(reason: StopReason): void {
		if (this.machine === undefined) this.early ??= reason;
		else this.machine.stop(reason);
	}

	private signalled = false;

	/** The first signal ends the run in good order; the second one does not wait for the guest. */
	private readonly onSignal = (signal: (typeof SIGNALS)[number]): void => {
		if (this.signalled) {
			this.close();
			process.exit(signalStatus(signal));
		}
		this.signalled = true;
		this.stop({ kind: "signal", signal });
	};

	/** Only where a person looks on and the guest's own output does not use the same terminal. */
	private showProgress(machine: RunningMachine): NodeJS.Timeout | undefined {
		const { config, messages } = this;
		const shared = isTerminal(1) && [...config.serial, config.debugcon].some((target) => target.to === "stdio");
		if (!isTerminal(2) || shared || config.display === "text") return undefined;
		let last = 0;
		const show = (): void => {
			const { instructions } = machine;
			const rate = (instructions - last) / (PROGRESS / 1000);
			last = instructions;
			messages.progress(`${millions(instructions)} instructions, ${millions(rate)} per second`);
		};
		return setInterval(show, PROGRESS).unref();
	}

	/** What the end of the run says about stores to ROM; where each has been logged, only how many there were. */
	private romWriteLines(): readonly string[] {
		const lines = this.config.romWrites === "off" ? [] : this.journal.summary();
		return this.config.romWrites === "log" ? lines.slice(0, 1) : lines;
	}

	private report(outcome: Outcome, machine: RunningMachine, hostMs: number, stack: readonly Frame[]): number {
		const { config, journal, messages } = this;
		const { missing } = this.expectations;
		const status = exitStatus(outcome, config.debugExitEncoding, missing);
		this.consoles.close();
		this.display?.close();
		if (isTerminal(1) && isTerminal(2) && !this.consoles.stdout.atLineStart) messages.line("");
		journal.flush();
		if (status !== STATUS.success || (config.logLevel !== "off" && config.logLevel !== "error")) {
			for (const line of this.romWriteLines()) messages.line(line);
			for (const line of flashLines(outcome.flash)) messages.line(line);
			messages.line(outcomeLine(outcome, hostMs), status === STATUS.success ? "good" : "bad");
			for (const line of stackLines(stack)) messages.line(line);
			for (const text of missing)
				messages.line(`tsvmm: the text ${JSON.stringify(text)} never appeared (--expect)`, "bad");
		}
		if (this.result !== undefined) {
			const result = { outcome, status, missing, hostMs, romWrites: journal, stack, ramHash: machine.ramHash() };
			writeFully(this.result, Buffer.from(resultJson(result)));
			closeSync(this.result);
		}
		return status;
	}
}

/** Created before the run, so that a wrong path costs no time. */
function createFile(path: string, what: string): number {
	try {
		return openSync(path, "w");
	} catch (error) {
		throw new UserError(`${what}: ${path} ${fileProblem(error)}`);
	}
}

const millions = (count: number): string => `${(count / 1e6).toFixed(1)} M`;

/** A debugger's way in that knows how ends are called. */
function describing(server: GdbServer): NonNullable<MachineHost["debugger"]> {
	return { waits: server.waits, serve: (target) => server.serve(target), describe: endText };
}
