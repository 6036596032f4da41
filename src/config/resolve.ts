import { UserError } from "../base/errors.ts";
import { nearest } from "./nearest.ts";
import { type Option, ValueError } from "./option.ts";
import { type MachineConfig, OPTIONS } from "./options.ts";
import { checkConsoles } from "./sections/consoles.ts";
import { checkDebugging } from "./sections/debugging.ts";
import { placeDrives } from "./sections/drives.ts";
import { checkFirmware } from "./sections/firmware.ts";
import { checkKernel } from "./sections/kernel.ts";

/** One value as the user wrote it. */
export interface Given {
	readonly text: string;
	/** Names the flag or the place in the machine file, for messages. */
	readonly where: string;
	/** Paths are relative to this folder; absent: to the working directory. */
	readonly folder?: string;
}

/** Option names to what was given for them; an option that was not mentioned is absent. */
export type GivenOptions = ReadonlyMap<string, readonly Given[]>;

function parse(option: Option, given: Given): unknown {
	try {
		const value = option.kind.parse(given.text);
		return given.folder === undefined ? value : (option.kind.rebase?.(value, given.folder) ?? value);
	} catch (error) {
		if (error instanceof ValueError) throw new UserError(`${given.where}: ${error.message}`);
		throw error;
	}
}

function deepFreeze<T>(value: T): T {
	if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
		Object.freeze(value);
		for (const part of Object.values(value)) deepFreeze(part);
	}
	return value;
}

/**
 * The configuration from what the user gave; later sources win over earlier ones, option by option, and defaults fill the rest.
 * @throws UserError that names the flag or field and says what would be right.
 */
export function resolveConfig(...sources: readonly GivenOptions[]): MachineConfig {
	const values: Record<string, unknown> = {};
	for (const option of OPTIONS as readonly Option[]) {
		const chosen = sources.findLast((source) => source.has(option.name))?.get(option.name);
		const given = chosen ?? option.default.map((text): Given => ({ text, where: `default of --${option.name}` }));
		if (option.form === "list") values[option.key] = given.map((each) => parse(option, each));
		else {
			const last = given.at(-1);
			if (last !== undefined) values[option.key] = parse(option, last);
		}
	}
	// The loop above gave every option of OPTIONS, from which the type derives, a value of its kind.
	const config = values as MachineConfig;
	checkFirmware(config);
	placeDrives(config.drives);
	checkKernel(config);
	checkConsoles(config);
	checkDebugging(config);
	return deepFreeze(config);
}

/** Values for options by name, as a user would type them; several for options that can be given repeatedly. */
export type OptionTexts = { readonly [Name in (typeof OPTIONS)[number]["name"]]?: string | readonly string[] };

/**
 * A configuration for use as a library: `machineConfig({ bios: "rom.bin", memory: "64M" })`.
 * @throws UserError that names the option and says what would be right.
 */
export function machineConfig(options: OptionTexts): MachineConfig {
	const given = new Map<string, readonly Given[]>();
	const names: readonly string[] = OPTIONS.map((option) => option.name);
	for (const [name, value] of Object.entries(options)) {
		if (!names.includes(name)) throw new UserError(`unknown option "${name}"${nearest(name, names)}`);
		if (value === undefined) continue;
		const texts = typeof value === "string" ? [value] : value;
		given.set(
			name,
			texts.map((text) => ({ text, where: name })),
		);
	}
	return resolveConfig(given);
}
