import { type Command, Option } from "commander";
import { STATUS } from "./exit-status.ts";

const formatOption = (...formats: readonly string[]): Option =>
	new Option("--format <FORMAT>", "how to say it").choices([...formats]).default("text");

/** Where a command's results go. */
export interface CommandOutput {
	/** Standard output. */
	write(output: string | Uint8Array): void;
	/** The exit status, where it is not that of success. */
	done(status: number): void;
}

/** `tsvmm flash`: commands on flash images. They are made when one of them is asked for, and what they do is loaded then. */
export function flashCommand(program: Command, output: CommandOutput): void {
	const flash = program
		.command("flash")
		.summary("look into flash images and change UEFI variables")
		.description("Looks into flash images: firmware volumes, files, UEFI variables.")
		.helpCommand(false);
	program.hook("preSubcommand", (_program, command) => {
		if (command !== flash) return;
		infoCommand(flash, output);
		diffCommand(flash, output);
		varsCommand(flash, output);
		extractCommand(flash, output);
		for (const child of flash.commands) child.copyInheritedSettings(flash);
	});
}

function infoCommand(flash: Command, output: CommandOutput): void {
	flash
		.command("info <file>")
		.summary("show what an image consists of")
		.description("Shows geometry, firmware volumes and files, and every UEFI variable with what it was before.")
		.option("--sections", "also sections, padding and free space", false)
		.option("--brief", "leave out what variables were before", false)
		.addOption(formatOption("text", "json"))
		.action(async (file: string, options: { sections: boolean; brief: boolean; format: "text" | "json" }) => {
			const { flashInfo } = await import("./flash/info.ts");
			output.write(await flashInfo(file, options));
		});
}

function diffCommand(flash: Command, output: CommandOutput): void {
	flash
		.command("diff <before> <after>")
		.summary("compare two images")
		.description(
			"Compares two images by block, by UEFI variable and by file of a firmware volume. Exit status: 0 the same, 1 different.",
		)
		.addOption(formatOption("text", "json"))
		.action(async (before: string, after: string, { format }: { format: "text" | "json" }) => {
			const { flashDiff } = await import("./flash/diff.ts");
			const { text, same } = await flashDiff(before, after, format);
			output.write(text);
			if (!same) output.done(STATUS.different);
		});
}

function varsCommand(flash: Command, output: CommandOutput): void {
	flash
		.command("vars <file> <action> [words...]")
		.summary("read and change UEFI variables")
		.description(
			"Reads and changes the UEFI variables of an image, as its firmware would: the new value goes behind the last one.",
		)
		.addHelpText("after", VARS_HELP)
		.option("--attributes <LIST>", "with set: NV, BS, RT, AT … or a number (default: as before, else NV,BS,RT)")
		.addOption(formatOption("text", "json", "hex", "raw"))
		.action(async (file: string, action: string, words: string[], options) => {
			const { flashVars } = await import("./flash/vars.ts");
			output.write(await flashVars(file, action, words, options));
		});
}

const VARS_HELP = `
Actions:
  get [NAME]         the value of a variable, or all of them
  set NAME VALUE     give a variable a value
  delete NAME...     delete variables
  export [JSON]      write all variables to a file, in virt-firmware's JSON
  import JSON        set the variables of such a file; - is standard input

NAME is BootOrder, VENDOR:NAME (Shell:StartupDelay, or a GUID), or NAME-GUID.
VALUE is hex:00ff, text:abc, ascii:abc (with a zero at the end), utf16:abc (likewise),
u8:5, u16:5, u32:5, u64:5, file:PATH, json:[0,1] (bytes), or, where tsvmm knows what the
variable means, plain: BootOrder 0001,0000; Timeout 5; Lang eng; SecureBootEnable off.`;

function extractCommand(flash: Command, output: CommandOutput): void {
	flash
		.command("extract <file> [wanted...]")
		.summary("write parts of an image into files")
		.description(
			"Writes volumes, files and sections into a folder: all of them, or those with a name (Shell) or a GUID.",
		)
		.requiredOption("--into <FOLDER>", "folder to write to; made where it is missing")
		.action(async (file: string, wanted: string[], { into }: { into: string }) => {
			const { flashExtract } = await import("./flash/extract.ts");
			output.write(flashExtract(file, { into, wanted }));
		});
}
