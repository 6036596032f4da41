import { Command, CommanderError, Option as Flag } from "commander";
import { UserError } from "../base/errors.ts";
import type { Option } from "../config/option.ts";
import { OPTION_GROUPS } from "../config/options.ts";
import type { Given, GivenOptions } from "../config/resolve.ts";
import { packageVersion } from "../host/version.ts";
import { STATUS } from "./exit-status.ts";
import { flashCommand } from "./flash-command.ts";
import { defaultText, flagSyntax, HELP_LAYOUT, helpWidth, statusHelp } from "./help.ts";
import { Messages, painter, print } from "./messages.ts";
import { romWritesCommand } from "./rom-writes-command.ts";
import { type Boot, run } from "./run.ts";

/** Gives a command the options that describe a machine. @returns what was given for them, once the command is parsed. */
function addMachineOptions(command: Command): GivenOptions {
	const given = new Map<string, Given[]>();
	for (const [title, options] of OPTION_GROUPS as readonly (readonly [string, readonly Option[]])[]) {
		for (const option of options) {
			const flag = new Flag(flagSyntax(option), option.help + defaultText(option)).helpGroup(`${title}:`);
			flag.argParser((text: string) => {
				const earlier = given.get(option.name) ?? [];
				given.set(option.name, [...earlier, { text, where: `--${option.name}` }]);
				return text;
			});
			if (option.kind.placeholder === "") flag.preset("on");
			command.addOption(flag);
		}
	}
	return given;
}

function runCommand(program: Command, boot: Boot, done: (status: number) => void): void {
	const command = program
		.command("run [machine-file]")
		.summary("boot a machine")
		.description(
			"Boots a machine that options describe, or a machine file (YAML or JSON), or both: options win over the file.",
		)
		.addHelpText("after", ({ command }) => statusHelp(command));
	const given = addMachineOptions(command);
	command.action(async (file: string | undefined) => {
		done(await run(file, given, boot));
	});
}

function slotsCommand(program: Command): void {
	const command = program
		.command("slots [machine-file]")
		.summary("show a machine's memory")
		.description(
			"Prints the region tree, the flat view and the memory slots of a machine at power-on, without running it. Takes what run takes.",
		)
		.option("--json", "print JSON");
	const given = addMachineOptions(command);
	command.action(async (file: string | undefined, { json = false }: { json?: boolean }) => {
		const { slots } = await import("./slots.ts");
		print(await slots(file, given, json));
	});
}

function schemaCommand(program: Command): void {
	program
		.command("schema")
		.summary("print the JSON Schema of machine files")
		.description("Prints the JSON Schema of machine files.")
		.action(async () => {
			const { machineFileSchema } = await import("../config/json-schema.ts");
			print(`${JSON.stringify(machineFileSchema(), null, "\t")}\n`);
		});
}

function isaCommand(program: Command): void {
	program
		.command("isa [query...]")
		.summary("explain an instruction")
		.description(
			"Prints what is declared about an instruction, named by mnemonic (add) or encoding (83 /2): forms, operands, flags, meaning. Without a query, the map of all instructions.",
		)
		.action(async (query: readonly string[]) => {
			const { isa } = await import("./isa.ts");
			print(isa(query));
		});
}

/** Commander's complaint as one line in tsvmm's way of speaking. */
function usageProblem(text: string): string {
	const [problem = "", hint] = text
		.replace(/^error: /, "")
		.trim()
		.split("\n");
	const more = hint === undefined ? "(--help says more)" : hint.replace("(Did", "(did");
	return `tsvmm: ${problem.replace(/\.$/, "").replace(". Expected", ": expected")} ${more}`;
}

function build(boot: Boot, done: (status: number) => void): Command {
	const program = new Command("tsvmm")
		.description("A command-line virtual machine monitor with a software x86 processor.")
		.helpCommand(false)
		.exitOverride()
		.configureHelp(HELP_LAYOUT)
		.configureOutput({
			writeOut: print,
			getOutHelpWidth: helpWidth,
			outputError: (text, write) => write(`${usageProblem(text)}\n`),
		});
	program.version(packageVersion());
	runCommand(program, boot, done);
	slotsCommand(program);
	schemaCommand(program);
	isaCommand(program);
	flashCommand(program, { write: print, done });
	romWritesCommand(program, print);
	for (const command of program.commands) command.copyInheritedSettings(program);
	return program;
}

async function complain(error: unknown): Promise<number> {
	const messages = new Messages(await painter());
	if (error instanceof UserError) {
		messages.line(`tsvmm: ${error.message}`, "bad");
		messages.flush();
		return STATUS.usage;
	}
	messages.line("tsvmm: internal error; please report it together with what follows", "bad");
	messages.line(error instanceof Error ? (error.stack ?? error.message) : String(error));
	messages.flush();
	return STATUS.internalError;
}

/** The command: takes the words after `tsvmm` and gives the exit status. */
export async function main(words: readonly string[], boot: Boot): Promise<number> {
	let status: number = STATUS.success;
	const program = build(boot, (given) => {
		status = given;
	});
	try {
		await program.parseAsync([...words], { from: "user" });
		return status;
	} catch (error) {
		// Commander has already said what is wrong, or shown the help or version that was asked for.
		if (error instanceof CommanderError) return error.exitCode === 0 ? STATUS.success : STATUS.usage;
		return complain(error);
	}
}
