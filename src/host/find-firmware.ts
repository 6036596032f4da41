import { accessSync, constants } from "node:fs";
import { UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";
import {
	type BrokenDescriptor,
	descriptorFolders,
	type FirmwareDescriptor,
	type FirmwareMapping,
	readDescriptors,
} from "./firmware-descriptors.ts";
import { KNOWN_FIRMWARE, type KnownFirmware } from "./firmware-packages.ts";

/** A machine that firmware is looked for, in the words of descriptors. */
export interface FirmwareBoard {
	readonly architecture: "x86_64" | "i386";
	/** A machine type without its version: `pc-i440fx`. */
	readonly machine: string;
}

/** Firmware that a machine can have: a ROM, or one or two images for flash. */
export interface FoundFirmware {
	/** The JSON file that tells of it; absent where it was found without. */
	readonly descriptor?: string;
	readonly description?: string;
	/** ROM image, mapped without a flash. */
	readonly rom?: string;
	/** Flash image that machines share and never change. */
	readonly code?: string;
	/** What a machine's own flash image begins as: with `code` its variables, without it code and variables. */
	readonly template?: string;
}

/** Where firmware is looked for. */
export interface FirmwarePlaces {
	/** Folders of descriptors, the most specific one first. */
	readonly descriptors: readonly string[];
	readonly known: readonly KnownFirmware[];
}

export const firmwarePlaces = (): FirmwarePlaces => ({
	descriptors: descriptorFolders(process.env),
	known: KNOWN_FIRMWARE,
});

/**
 * Finds firmware for a board: by what it is (`ovmf`, `seabios`: the first descriptor that fits, or where distributions put it), or by
 * a descriptor's file name or description.
 * @throws UserError that says what is there, or which package brings it.
 */
export function findFirmware(name: string, board: FirmwareBoard, places = firmwarePlaces()): FoundFirmware {
	const descriptors = readDescriptors(places.descriptors);
	const known = places.known.find((each) => each.name === name);
	if (known !== undefined) return findKnown(known, descriptors, board);
	const named = descriptors.find((descriptor) => isNamed(descriptor, name));
	if (named === undefined) {
		const names = [...places.known.map((each) => each.name), ...descriptors.map(({ file }) => file)];
		throw new UserError(
			`--firmware: no firmware descriptor has the file name or description "${name}"; there are ${names.join(", ")}`,
		);
	}
	const problem = "problem" in named ? named.problem : unfit(named, board);
	if (problem !== undefined) throw new UserError(`--firmware: ${named.path} ${problem}`);
	return found(named as FirmwareDescriptor);
}

function isNamed(descriptor: FirmwareDescriptor | BrokenDescriptor, name: string): boolean {
	const names = [descriptor.file, descriptor.file.replace(/\.json$/, "")];
	if ("description" in descriptor) names.push(descriptor.description);
	return names.some((each) => each.toLowerCase() === name.toLowerCase());
}

function findKnown(
	known: KnownFirmware,
	descriptors: readonly (FirmwareDescriptor | BrokenDescriptor)[],
	board: FirmwareBoard,
): FoundFirmware {
	const passed: string[] = [];
	for (const descriptor of descriptors) {
		if ("interfaces" in descriptor && !descriptor.interfaces.includes(known.interface)) continue;
		const problem = "problem" in descriptor ? descriptor.problem : (unfit(descriptor, board) ?? unwanted(descriptor));
		if (problem === undefined) return found(descriptor as FirmwareDescriptor);
		passed.push(`${descriptor.file} ${problem}`);
	}
	const fits = (known.architecture ?? board.architecture) === board.architecture;
	const files = known.images.find(({ image, template }) => fits && [image, template ?? image].every(isReadable));
	if (files !== undefined) {
		const { image, template } = files;
		return template === undefined ? { rom: image } : { code: image, template };
	}
	const others = passed.length === 0 ? "" : `; passed over: ${passed.join(", ")}`;
	const wanted = `${known.title} for ${board.architecture} and ${board.machine}`;
	throw new UserError(`--firmware ${known.name}: no ${wanted} is installed (${known.install})${others}`);
}

/** Why a board cannot have it. */
function unfit({ targets, features, mapping }: FirmwareDescriptor, board: FirmwareBoard): string | undefined {
	const machines = targets.filter(({ architecture }) => architecture === board.architecture);
	if (!machines.some((target) => target.machines.some((pattern) => isOf(pattern, board.machine)))) {
		const meant = targets.map((target) => `${target.architecture} ${target.machines.join(" or ")}`).join(", ");
		return `is for another machine (${meant})`;
	}
	if (features.includes("requires-smm")) return "needs system management mode, which there is not";
	if (features.includes("host-uefi-vars")) return "needs a device for UEFI variables, which there is not";
	if (mapping.device === "other") return `is loaded in a way of its own (${mapping.name})`;
	for (const { path, format } of filesOf(mapping)) {
		if (format !== "raw") return `has a file in ${format} format, where only raw ones can be used (${path})`;
		if (!isReadable(path)) return `has a file that ${fileTrouble(path)} (${path})`;
	}
	return undefined;
}

/** Why nobody gets it who has not asked for just that. */
function unwanted({ features }: FirmwareDescriptor): string | undefined {
	return features.includes("secure-boot") || features.includes("enrolled-keys") ? "has Secure Boot" : undefined;
}

/** Types have versions, which a pattern leaves open or not: this machine is that of any version. */
function isOf(pattern: string, machine: string): boolean {
	const wildcard = pattern.search(/[*?[]/);
	if (wildcard < 0) return pattern === machine || pattern.startsWith(`${machine}-`);
	const prefix = pattern.slice(0, wildcard);
	return prefix.startsWith(`${machine}-`) || `${machine}-`.startsWith(prefix);
}

function filesOf(mapping: Exclude<FirmwareMapping, { device: "other" }>): { path: string; format: string }[] {
	if (mapping.device === "memory") return [{ path: mapping.path, format: "raw" }];
	return [mapping.executable, ...(mapping.template ? [mapping.template] : [])];
}

function found({ path, description, mapping }: FirmwareDescriptor): FoundFirmware {
	const origin = { descriptor: path, description };
	if (mapping.device === "memory") return { ...origin, rom: mapping.path };
	if (mapping.device === "other") return origin;
	if (mapping.mode === "combined") return { ...origin, template: mapping.executable.path };
	const code = { ...origin, code: mapping.executable.path };
	return mapping.template === undefined ? code : { ...code, template: mapping.template.path };
}

function fileTrouble(path: string): string | undefined {
	try {
		accessSync(path, constants.R_OK);
		return undefined;
	} catch (error) {
		return fileProblem(error);
	}
}

const isReadable = (path: string): boolean => fileTrouble(path) === undefined;
