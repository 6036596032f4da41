import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const source = fileURLToPath(new URL("../src/", import.meta.url));

/** Who may import whom, besides itself. */
const EVERYBODY_BELOW = [
	"boot",
	"memory",
	"kvm",
	"vcpu",
	"isa",
	"wasm",
	"bus",
	"devices",
	"debug",
	"host",
	"config",
	"base",
];
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
	cli: ["config", "machine", "debug", "isa", "host", "base"],
	machine: EVERYBODY_BELOW,
	boot: ["kvm", "base"],
	debug: ["kvm", "bus", "host", "base"],
	devices: ["bus", "base"],
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

/** Packages, and the folders that may use them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
	commander: ["cli"],
	chalk: ["cli"],
	pino: ["cli"],
	zod: ["config"],
	yaml: ["config"],
	"iced-x86": ["debug"],
};

interface Import {
	readonly file: string;
	readonly from: string;
	readonly specifier: string;
}

/** `import … from "x"` on one line or ending with `} from "x"`, as the formatter leaves it; `import("x")`. */
const IMPORT = /^(?:import|export|\})[^"]* from "([^"]+)";$|\bimport\("([^"]+)"\)/gm;

const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
const imports = files.flatMap((file): Import[] => {
	const [from] = file.split("/");
	const text = readFileSync(join(source, file), "utf8");
	return Array.from(text.matchAll(IMPORT), ([, plain, lazy]) => ({
		file,
		from: from ?? "",
		specifier: plain ?? lazy ?? "",
	}));
});

const folderOf = ({ file, specifier }: Import): string => {
	const target = relative(source, join(source, dirname(file), specifier));
	return target.includes("/") ? (target.split("/")[0] ?? "") : "";
};

describe("imports", () => {
	it("are read at all", () => {
		expect(imports).toContainEqual({ file: "cli/run.ts", from: "cli", specifier: "../base/errors.ts" });
		expect(imports).toContainEqual({ file: "cli/run.ts", from: "cli", specifier: "../config/machine-file.ts" });
	});

	it("of project files point down the layers", () => {
		const wrong = imports
			.filter(({ specifier, file }) => specifier.startsWith(".") && file.includes("/"))
			.filter((each) => folderOf(each) !== each.from && !MAY_IMPORT[each.from]?.includes(folderOf(each)));
		expect(wrong.map(({ file, specifier }) => `${file} imports ${specifier}`)).toEqual([]);
	});

	it("of packages come from the folders that may use them", () => {
		const wrong = imports
			.filter(({ specifier }) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
			.filter(({ specifier, from }) => !PACKAGES[specifier]?.includes(from));
		expect(wrong.map(({ file, specifier }) => `${file} imports ${specifier}`)).toEqual([]);
	});
});
