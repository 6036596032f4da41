import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";
import { type FlashImage, plainFlash } from "../config/flash.ts";
import type { MachineConfig } from "../config/index.ts";
import { createFile } from "../host/create-file.ts";
import { type FirmwarePlaces, type FoundFirmware, findFirmware } from "../host/find-firmware.ts";
import { readImage } from "../host/read-file.ts";
import { featuresOfChoice } from "../vcpu/cpu-models.ts";

/** What `--firmware` has come to. */
export interface ChosenFirmware extends FoundFirmware {
	/** As the user named it. */
	readonly name: string;
	/** The user's file that keeps the firmware's variables; absent: what the guest changes is forgotten at the end. */
	readonly flashVars?: string;
	/** The file was made just now, from the template. */
	readonly created?: boolean;
}

/** More than any flash has room for. */
const TEMPLATE_LIMIT = 16 * 2 ** 20;

/**
 * Finds the firmware that a configuration names, and makes the file for its variables where there is none yet. What only looks makes
 * no file: it takes the template.
 * @returns what was found, and the configuration with its files in place.
 * @throws UserError for firmware that is not there or does not fit, and for a file of variables that cannot be used.
 */
export function chooseFirmware(
	config: MachineConfig,
	name: string,
	{ onlyLooks, places }: { readonly onlyLooks: boolean; readonly places?: FirmwarePlaces },
): { readonly chosen: ChosenFirmware; readonly config: MachineConfig } {
	const architecture = featuresOfChoice(config.cpu).has("lm") ? "x86_64" : "i386";
	const found = findFirmware(name, { architecture, machine: "pc-i440fx" }, places);
	const { rom, code, template } = found;
	const { flashVars } = config;
	const flash: FlashImage[] = code === undefined ? [] : [plainFlash("--firmware", code, { readonly: true })];
	let chosen: ChosenFirmware = { name, ...found };
	if (template === undefined) {
		if (flashVars !== undefined) {
			throw new UserError(`--flash-vars: the firmware ${rom ?? code} keeps no variables in flash; leave it out`);
		}
	} else if (flashVars === undefined) {
		flash.push(plainFlash("--firmware", template, { snapshot: true }));
	} else {
		const created = checkVariables(flashVars, template) === "absent";
		if (created && !onlyLooks) copyTemplate(template, flashVars);
		chosen = { ...chosen, flashVars, created };
		flash.push(plainFlash("--flash-vars", created && onlyLooks ? template : flashVars));
	}
	return { chosen, config: Object.freeze({ ...config, ...(rom === undefined ? { flash } : { bios: rom }) }) };
}

/** Whether the user's file is there; one that is there must be a copy of the template, or have been one. */
function checkVariables(file: string, template: string): "present" | "absent" {
	const stat = statSync(file, { throwIfNoEntry: false });
	if (stat === undefined) return "absent";
	if (realpathSync(file) === realpathSync(template)) {
		throw new UserError(`--flash-vars: ${file} is what every machine's variables begin as; name a file of your own`);
	}
	const { size } = statSync(template);
	if (stat.isFile() && stat.size !== size) {
		throw new UserError(
			`--flash-vars: ${file} is ${stat.size} bytes long, but variables of this firmware take ${size}; they are from another one`,
		);
	}
	return "present";
}

/** Somebody else may be as fast: then there is a copy all the same. */
function copyTemplate(template: string, file: string): void {
	const bytes = readImage(template, "--firmware", TEMPLATE_LIMIT);
	try {
		createFile(file, bytes);
	} catch (error) {
		const folder = dirname(file);
		const problem = existsSync(folder) ? fileProblem(error) : `cannot be made: the folder ${folder} does not exist`;
		throw new UserError(`--flash-vars: ${file} ${problem}`);
	}
}
