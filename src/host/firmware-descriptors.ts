import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileProblem } from "../base/file-problem.ts";

/** A firmware file, and how it is stored: `raw`, `qcow2`. */
export interface FirmwareFile {
	readonly path: string;
	readonly format: string;
}

/** Where firmware goes in a machine. */
export type FirmwareMapping =
	/** A ROM: QEMU's `-bios`. */
	| { readonly device: "memory"; readonly path: string }
	| {
			readonly device: "flash";
			/** split: a file each for code and variables; combined: one that has both; stateless: code alone. */
			readonly mode: "split" | "combined" | "stateless";
			readonly executable: FirmwareFile;
			/** What a machine's own variables begin as; there with `split`. */
			readonly template?: FirmwareFile;
	  }
	/** Something that is no part of a PC. */
	| { readonly device: "other"; readonly name: string };

/** Firmware as a JSON file describes it (QEMU's docs/interop/firmware.json). */
export interface FirmwareDescriptor {
	/** The file's name, without its folder. */
	readonly file: string;
	readonly path: string;
	readonly description: string;
	/** What it offers to operating systems, such as `uefi` and `bios`. */
	readonly interfaces: readonly string[];
	readonly mapping: FirmwareMapping;
	readonly targets: readonly { readonly architecture: string; readonly machines: readonly string[] }[];
	readonly features: readonly string[];
}

/** A file that is no descriptor. */
export interface BrokenDescriptor {
	readonly file: string;
	readonly path: string;
	/** Follows the file's name in a message. */
	readonly problem: string;
}

/** The folders that have descriptors, the most specific one first; `environment` has HOME and the XDG variables. */
export function descriptorFolders(environment: NodeJS.ProcessEnv): string[] {
	const { HOME, XDG_CONFIG_HOME, XDG_DATA_DIRS } = environment;
	const own = XDG_CONFIG_HOME || (HOME && join(HOME, ".config"));
	const shared = (XDG_DATA_DIRS || "/usr/local/share:/usr/share").split(":").filter((folder) => folder !== "");
	return [...(own ? [own] : []), "/etc", ...shared].map((folder) => join(folder, "qemu", "firmware"));
}

/**
 * The descriptors in `folders`, the most specific folder first, in order of preference: by file name. Of files with one name the most
 * specific counts; an empty one hides the others.
 */
export function readDescriptors(folders: readonly string[]): (FirmwareDescriptor | BrokenDescriptor)[] {
	const paths = new Map<string, string>();
	for (const folder of folders) {
		for (const file of filesOf(folder)) if (!paths.has(file)) paths.set(file, join(folder, file));
	}
	return [...paths].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([file, path]) => readDescriptor(file, path));
}

function filesOf(folder: string): string[] {
	try {
		return readdirSync(folder).filter((file) => file.endsWith(".json"));
	} catch {
		// Most systems have only one of the folders.
		return [];
	}
}

function readDescriptor(file: string, path: string): (FirmwareDescriptor | BrokenDescriptor)[] {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		return [{ file, path, problem: fileProblem(error) }];
	}
	if (text === "") return [];
	try {
		return [{ file, path, ...descriptorOf(JSON.parse(text)) }];
	} catch (error) {
		const problem = error instanceof Wrong ? `has no valid ${error.message}` : "is not JSON";
		return [{ file, path, problem }];
	}
}

/** The message names the field. */
class Wrong extends Error {}

type Fields = Readonly<Record<string, unknown>>;

function object(value: unknown, field: string): Fields {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Wrong(field);
	return value as Fields;
}

function text(value: unknown, field: string): string {
	if (typeof value !== "string") throw new Wrong(field);
	return value;
}

function list<T>(value: unknown, field: string, each: (value: unknown, field: string) => T): T[] {
	if (!Array.isArray(value)) throw new Wrong(field);
	return value.map((one) => each(one, field));
}

function descriptorOf(json: unknown): Omit<FirmwareDescriptor, "file" | "path"> {
	const fields = object(json, "object");
	return {
		description: text(fields["description"], "description"),
		interfaces: list(fields["interface-types"], "interface-types", text),
		mapping: mappingOf(object(fields["mapping"], "mapping")),
		targets: list(fields["targets"], "targets", (value) => {
			const target = object(value, "targets");
			return {
				architecture: text(target["architecture"], "targets.architecture"),
				machines: list(target["machines"], "targets.machines", text),
			};
		}),
		features: list(fields["features"], "features", text),
	};
}

function mappingOf(fields: Fields): FirmwareMapping {
	const device = text(fields["device"], "mapping.device");
	if (device === "memory") return { device, path: text(fields["filename"], "mapping.filename") };
	if (device !== "flash") return { device: "other", name: device };
	const mode = fields["mode"] ?? "split";
	if (mode !== "split" && mode !== "combined" && mode !== "stateless") throw new Wrong("mapping.mode");
	const executable = fileOf(fields["executable"], "mapping.executable");
	if (mode !== "split") return { device, mode, executable };
	return { device, mode, executable, template: fileOf(fields["nvram-template"], "mapping.nvram-template") };
}

function fileOf(value: unknown, field: string): FirmwareFile {
	const { filename, format } = object(value, field);
	return { path: text(filename, `${field}.filename`), format: text(format, `${field}.format`) };
}
