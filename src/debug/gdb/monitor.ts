import { disassemble } from "../disassemble.ts";
import { entryFlags, mappedRanges, walkPages } from "./page-walk.ts";
import { ARCHITECTURES } from "./registers.ts";
import type { SessionSettings } from "./session.ts";
import { codeMode, hex, modeText, systemText } from "./system-text.ts";
import type { DebugTarget } from "./target.ts";

/** What the program around the debugger adds to `monitor`. */
export interface MonitorTopics {
	/** The journal of stores to ROM. */
	romWrites(): readonly string[];
	/** The call stack, innermost first. */
	where(): readonly string[];
}

interface MonitorParts {
	readonly target: DebugTarget;
	readonly topics: MonitorTopics;
	readonly settings: SessionSettings;
}

interface Command {
	readonly words: string;
	readonly takes?: string;
	readonly help: string;
	run(argument: string): readonly string[];
}

const LONGEST_INSTRUCTION = 15;
const MOST_RANGES = 500;
const MOST_UNITS = 4096;
const UNIT_BYTES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 };
const LINE_BYTES = 16;

/** `123`, `0x7b`; undefined for what is no number of 64 bits. */
function parseNumber(text: string): bigint | undefined {
	if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text)) return undefined;
	const value = BigInt(text);
	return value < 1n << 64n ? value : undefined;
}

/** GDB's `monitor`: what its own commands have no word for. */
export class Monitor {
	private readonly parts: MonitorParts;
	private readonly commands: readonly Command[];

	constructor(parts: MonitorParts) {
		this.parts = parts;
		const { target, topics } = parts;
		const sized = (lines: readonly string[], none: string): readonly string[] => (lines.length === 0 ? [none] : lines);
		this.commands = [
			{ words: "help", help: "this list", run: () => this.help() },
			{
				words: "info registers",
				help: "all of the processor, hidden parts of segments included",
				run: () => this.registers(),
			},
			{
				words: "info tlb",
				takes: "ADDRESS",
				help: "the page walk of a linear address, entry by entry",
				run: (text) => this.walk(text),
			},
			{ words: "info mem", help: "the linear ranges that are mapped, with their rights", run: () => this.mapped() },
			{
				words: "info mtree",
				help: "the tree and the flat view of guest-physical memory",
				run: () => [target.memoryTree().trimEnd()],
			},
			{ words: "info slots", help: "the memory slots", run: () => [target.memorySlots().trimEnd()] },
			{
				words: "rom-writes",
				help: "the journal of stores to ROM",
				run: () => sized(topics.romWrites(), "no stores to ROM"),
			},
			{
				words: "where",
				help: "the call stack with symbols (--symbols)",
				run: () => sized(topics.where(), "no call stack"),
			},
			{
				words: "x",
				takes: "/FMT ADDRESS",
				help: "linear memory: /16xb, /4dw, /10i; i disassembles as the processor would",
				run: (text) => this.examine(text, "linear"),
			},
			{
				words: "xp",
				takes: "/FMT ADDRESS",
				help: "the same for guest-physical memory",
				run: (text) => this.examine(text, "physical"),
			},
			{
				words: "pc",
				takes: "linear|offset",
				help: "how the program counter is shown: with the base of CS (default), or as an offset",
				run: (text) => this.pc(text),
			},
			{
				words: "arch",
				takes: "i8086|i386|i386:x86-64",
				help: "the registers that GDB is told of when it next connects",
				run: (text) => this.architecture(text),
			},
			{
				words: "sstep",
				takes: "irq|noirq",
				help: "whether single steps take interrupts, as a normal run does (default)",
				run: (text) => this.steps(text),
			},
			{
				words: "reset",
				help: "resets the machine, as its reset button would",
				run: () => [target.reset() ?? "the machine is reset"],
			},
			{ words: "quit", help: "ends the run", run: () => this.quit() },
		];
	}

	/** The processor's mode in words. */
	get mode(): string {
		return modeText(this.parts.target.vcpu);
	}

	/** Carries a command out. @returns what there is to say, each line with its end. */
	execute(line: string): string {
		const text = line.trim().replace(/\s+/g, " ");
		const found = this.commands.find(
			({ words }) => text === words || text.startsWith(`${words} `) || text.startsWith(`${words}/`),
		);
		const lines = found?.run(text.slice(found.words.length).trim()) ?? [
			`"${text.slice(0, 60)}" is no command of the monitor; "monitor help" lists them`,
		];
		return lines.map((each) => `${each}\n`).join("");
	}

	private help(): readonly string[] {
		return this.commands.map(
			({ words, takes, help }) => `${`${words}${takes === undefined ? "" : ` ${takes}`}`.padEnd(24)} ${help}`,
		);
	}

	private registers(): readonly string[] {
		const { target } = this.parts;
		return [...systemText(target.vcpu), `${target.instructions} instructions, ${target.guestTimeNs} ns of guest time`];
	}

	private walk(text: string): readonly string[] {
		const { target } = this.parts;
		const linear = parseNumber(text);
		if (linear === undefined) return ["info tlb wants a linear address, such as 0xffffffff81000000"];
		const { steps, physical, pageSize, writable, user } = walkPages(
			target.vcpu,
			(address, length) => target.readPhysical(address, length),
			linear,
		);
		const lines = steps.map(
			({ name, at, entry }) => `${name.padEnd(5)} at ${hex(at, 10)}: ${hex(entry, 16)} ${entryFlags(entry)}`,
		);
		if (steps.length === 0) lines.push("no paging");
		if (physical === undefined) return [...lines, `${hex(linear, 16)} is not mapped`];
		const rights = `r${writable ? "w" : "-"}${user ? "u" : "-"}`;
		return [...lines, `${hex(linear, 16)} -> ${hex(physical, 10)}, page of ${pageSize / 1024n} KiB, ${rights}`];
	}

	private mapped(): readonly string[] {
		const { target } = this.parts;
		const ranges = mappedRanges(target.vcpu, (address, length) => target.readPhysical(address, length), MOST_RANGES);
		const lines = ranges.map(
			({ first, end, writable, user }) =>
				`${hex(first, 16)}-${hex(end - 1n, 16)} r${writable ? "w" : "-"}${user ? "u" : "-"}`,
		);
		if (lines.length === 0) return ["nothing, or no paging"];
		return lines.length < MOST_RANGES ? lines : [...lines, "and more"];
	}

	private examine(text: string, space: "linear" | "physical"): readonly string[] {
		const [, count = "1", format = "x", unit = "w", where = ""] =
			/^(?:\/(\d*)([xduci])?([bhwg])?)?\s*(\S+)$/i.exec(text) ?? [];
		const address = parseNumber(where);
		if (address === undefined) return ["x and xp want an address, such as xp /16xb 0xf0000"];
		const units = Math.min(Number(count || "1"), MOST_UNITS);
		if (format === "i") return this.code(address, units, space);
		const bytes = format === "c" ? 1 : UNIT_BYTES[unit]!;
		const lines: string[] = [];
		const perLine = LINE_BYTES / bytes;
		for (let n = 0; n < units; n += perLine) {
			const at = address + BigInt(n * bytes);
			const length = Math.min(perLine, units - n) * bytes;
			const data = this.read(at, length, space);
			if (data === undefined) return [...lines, `${hex(at, 8)}: no memory`];
			const values = Array.from({ length: length / bytes }, (_, m) =>
				valueText(data.subarray(m * bytes, (m + 1) * bytes), format),
			);
			lines.push(`${hex(at, 8)}: ${values.join(" ")}`);
		}
		return lines;
	}

	private read(address: bigint, length: number, space: "linear" | "physical"): Uint8Array | undefined {
		const { target } = this.parts;
		return space === "linear" ? target.vcpu.peek(address, length) : target.readPhysical(address, length);
	}

	private code(address: bigint, count: number, space: "linear" | "physical"): readonly string[] {
		const mode = codeMode(this.parts.target.vcpu);
		const lines: string[] = [];
		for (let n = 0, at = address; n < count; n++) {
			const available = [LONGEST_INSTRUCTION, 4096 - Number(at & 0xfffn)].map((length) => this.read(at, length, space));
			const bytes = available.find((found) => found !== undefined);
			if (bytes === undefined) return [...lines, `${hex(at, 8)}: no memory`];
			const { text, length } = disassemble(bytes, mode, at);
			const shown = bytes.subarray(0, Math.max(length, 1));
			lines.push(`${hex(at, 8)}: ${Buffer.from(shown).toString("hex").padEnd(20)} ${text}`);
			at += BigInt(Math.max(length, 1));
		}
		return lines;
	}

	private pc(text: string): readonly string[] {
		const { form } = this.parts.settings;
		if (text !== "linear" && text !== "offset")
			return [`the program counter is shown as ${form.linear ? "linear" : "offset"}; write pc linear or pc offset`];
		form.linear = text === "linear";
		return [`from the next stop on; GDB looks again after "flushregs" or "maintenance flush register-cache"`];
	}

	private architecture(text: string): readonly string[] {
		const chosen = ARCHITECTURES.find((name) => name === text);
		if (chosen === undefined) return [`arch wants one of ${ARCHITECTURES.join(", ")}`];
		this.parts.settings.architecture = chosen;
		return [`for the next connection: "disconnect", "set architecture auto", and "target remote" again`];
	}

	private steps(text: string): readonly string[] {
		const { target } = this.parts;
		if (text === "noirq" && target.sealed !== undefined) return [target.sealed];
		if (text === "irq" || text === "noirq") target.stepsTakeInterrupts = text === "irq";
		return [`single steps ${target.stepsTakeInterrupts ? "take interrupts" : "let interrupts wait"}`];
	}

	private quit(): readonly string[] {
		this.parts.target.kill();
		return ["the run ends"];
	}
}

/** A value of little-endian bytes in one of the formats x, d, u and c. */
function valueText(bytes: Uint8Array, format: string): string {
	const digits = Buffer.from(bytes).reverse().toString("hex");
	if (format === "x") return digits;
	if (format === "c")
		return bytes[0]! >= 0x20 && bytes[0]! < 0x7f ? `'${String.fromCharCode(bytes[0]!)}'` : `\\x${digits}`;
	const value = BigInt(`0x${digits}`);
	return (format === "d" ? BigInt.asIntN(bytes.length * 8, value) : value).toString();
}
