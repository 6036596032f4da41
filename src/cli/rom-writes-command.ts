import { type Command, Option } from "commander";

/** `tsvmm rom-writes`; what it does is loaded when it runs. */
export function romWritesCommand(program: Command, print: (text: string) => void): void {
	program
		.command("rom-writes <result>")
		.summary("show who stored to ROM")
		.description(
			"Shows the stores to ROM and flash commands of a run from its --result file: which instruction, called from where, what it was to store, and what the ROM holds.",
		)
		.addOption(
			new Option("--by <VIEW>", "how to order it").choices(["instruction", "address", "time"]).default("instruction"),
		)
		.addOption(
			new Option("--format <FORMAT>", "how to say it; html: one page with a map, a timeline and a table")
				.choices(["text", "json", "html"])
				.default("text"),
		)
		.option("--output <FILE>", "write it to FILE")
		.option("--range <RANGE>", "only what hit these physical addresses: 0xf0000-0xfffff, 0xf0000+16 or 0xf0000")
		.option("--symbol <TEXT>", "only where TEXT is part of a module, symbol or file in the place or its call stacks")
		.action(async (file: string, options) => {
			const { romWrites } = await import("./rom-writes/rom-writes.ts");
			print(await romWrites(file, options));
		});
}
