import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/**
 * The folders of src/, from top to bottom, and what each may import besides itself. Nothing imports `cli`, and the entry points
 * in src/ itself may import anything.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
	cli: ["config", "machine", "debug", "isa", "uefi", "host", "base"],
	machine: [
		"config",
		"boot",
		"debug",
		"devices",
		"host",
		"kvm",
		"vcpu",
		"memory",
		"isa",
		"wasm",
		"uefi",
		"bus",
		"base",
	],
	boot: ["kvm", "base"],
	debug: ["kvm", "uefi", "bus", "host", "base"],
	devices: ["bus", "base"],
	uefi: ["base"],
	host: ["bus", "base"],
	kvm: ["vcpu", "memory", "bus", "base"],
	vcpu: ["isa", "wasm", "base"],
	memory: ["base"],
	isa: ["base"],
	wasm: ["base"],
	bus: ["base"],
	config: ["base"],
	base: [],
};

/** The packages that a folder may use; all others use Node's own modules at most. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
	cli: ["commander", "chalk", "pino"],
	config: ["yaml", "zod"],
	debug: ["iced-x86"],
};

/** Within a folder: these parts share what lies above them and must not know each other. */
const STRANGERS: readonly (readonly [string, string])[] = [["vcpu/interp/", "vcpu/jit/"]];

/** Folders and files that reach the host's files, terminals and clocks; the rest is computation. */
const USES_NODE: readonly string[] = [
	"cli/",
	"config/",
	"host/",
	"machine/",
	"debug/",
	// zlib, which only computes.
	"uefi/ftw.ts",
	"uefi/unpack.ts",
	// The processor's WebAssembly core is printed at build time and loaded at start.
	"vcpu/core/load.ts",
	"vcpu/core/print.ts",
];

const ROOT = fileURLToPath(new URL("../src/", import.meta.url));

interface Import {
	/** Path below src/. */
	readonly file: string;
	/** As written. */
	readonly specifier: string;
	/** Path below src/, for project files. */
	readonly target: string | undefined;
}

const files = readdirSync(ROOT, { recursive: true, encoding: "utf8" })
	.map((file) => file.replaceAll("\\", "/"))
	.filter((file) => file.endsWith(".ts"))
	.sort();

const imports: readonly Import[] = files.flatMap((file) => {
	const text = readFileSync(`${ROOT}${file}`, "utf8");
	const specifiers = text.matchAll(
		/^\s*(?:import|export)\b[^"';]*?\bfrom\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm,
	);
	return [...specifiers].map(([, from, bare, dynamic]) => {
		const specifier = from ?? bare ?? dynamic ?? "";
		const target = specifier.startsWith(".") ? new URL(specifier, `file:///src/${file}`).pathname : undefined;
		return { file, specifier, target: target?.replace("/src/", "") };
	});
});

/** The folder of a path below src/; empty for the entry points. */
const folder = (path: string): string => (path.includes("/") ? path.slice(0, path.indexOf("/")) : "");

const show = ({ file, specifier }: Import): string => `${file} imports ${specifier}`;

describe("the import direction", () => {
	test("every folder of src/ has its line in the table, and imports were found", () => {
		expect(files.map(folder).filter((name) => name !== "" && !(name in MAY_IMPORT))).toEqual([]);
		expect(imports.length).toBeGreaterThan(files.length / 2);
	});

	test("the table itself points one way", () => {
		const reach = (from: string, seen: Set<string> = new Set()): Set<string> => {
			for (const next of MAY_IMPORT[from] ?? []) {
				if (!seen.has(next)) reach(next, seen.add(next));
			}
			return seen;
		};
		expect(Object.keys(MAY_IMPORT).filter((name) => reach(name).has(name))).toEqual([]);
	});

	test("folders import what the table allows", () => {
		const wrong = imports.filter(({ file, target }) => {
			if (target === undefined || folder(file) === "" || folder(file) === folder(target)) return false;
			return !MAY_IMPORT[folder(file)]?.includes(folder(target));
		});
		expect(wrong.map(show)).toEqual([]);
	});

	test("the two engines do not know each other", () => {
		const wrong = imports.filter(({ file, target }) =>
			STRANGERS.some(
				([a, b]) => (file.startsWith(a) && target?.startsWith(b)) || (file.startsWith(b) && target?.startsWith(a)),
			),
		);
		expect(wrong.map(show)).toEqual([]);
	});

	test("project files are imported by their .ts name, from inside src/", () => {
		const wrong = imports.filter(({ target }) => target !== undefined && !/^[a-z].*\.ts$/.test(target));
		expect(wrong.map(show)).toEqual([]);
	});
});

describe("what comes from outside", () => {
	const outside = imports.filter(({ target }) => target === undefined);

	test("packages are used where the table says", () => {
		const wrong = outside.filter(
			({ file, specifier }) => !specifier.startsWith("node:") && !PACKAGES[folder(file)]?.includes(specifier),
		);
		expect(wrong.map(show)).toEqual([]);
	});

	test("Node's modules are used by the folders that deal with the host", () => {
		const wrong = outside.filter(
			({ file, specifier }) =>
				specifier.startsWith("node:") && file.includes("/") && !USES_NODE.some((place) => file.startsWith(place)),
		);
		expect(wrong.map(show)).toEqual([]);
	});
});
