// Bundles the command into one file, dist/command/tsvmm.cjs: loading one file instead of a few hundred is what makes tsvmm start
// quickly. What only some runs need is in it, too, but is not evaluated before it is imported. The library in dist stays as tsc wrote it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join, relative, resolve } from "node:path";
import { build } from "esbuild";

const root = resolve(import.meta.dirname, "..");
const entry = process.argv[2] ?? "src/cli/bin.ts";

/** Modules that look for files beside themselves must keep finding them: their address is that of tsc's output. Imports are deferred. */
const projectFiles = {
	name: "project-files",
	setup(bundler) {
		bundler.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
			const source = await readFile(path, "utf8");
			const compiled = `../${relative(resolve(root, "src"), path).replace(/\.ts$/, ".js")}`;
			const address = `require("node:url").pathToFileURL(require("node:path").join(__dirname, ${JSON.stringify(compiled)})).href`;
			return { contents: deferImports(source).replaceAll("import.meta.url", address), loader: "ts" };
		});
	},
};

/** `import * as name from "file"; // deferred`: the file is loaded when something of it is used, `name.thing`. */
function deferImports(source) {
	const imports = [...source.matchAll(/^import \* as (\w+) from (".*"); \/\/ deferred\n/gm)];
	return imports.reduce(
		(text, [line, name, file]) =>
			text.replace(line, "").replace(new RegExp(`(?<![\\w./])${name}\\.`, "g"), `(require(${file})).`),
		source,
	);
}

/**
 * Families of instructions are loaded when the guest executes one: a start looks at an index of their opcodes, which is printed
 * here, and not at their hundreds of encodings.
 */
const lazyFamilies = {
	name: "lazy-families",
	setup(bundler) {
		bundler.onLoad({ filter: /isa\/families\/index\.ts$/ }, async ({ path }) => {
			let source = await readFile(path, "utf8");
			for (const [line, name, file] of source.matchAll(/^import \* as (\w+) from (".*");\n/gm)) {
				source = source.replace(line, "").replace(`() => ${name},`, `() => require(${file}),`);
			}
			return { contents: source, loader: "ts" };
		});
		bundler.onLoad({ filter: /isa\/printed-index\.ts$/ }, async () => {
			const { FAMILY_FILES } = await import("../dist/isa/families/index.js");
			const { indexOpcodes, printOpcodeIndex } = await import("../dist/isa/opcode-index.js");
			const index = printOpcodeIndex(indexOpcodes(FAMILY_FILES), 8 * 256);
			return { contents: `export const PRINTED_INDEX = ${JSON.stringify(index)};` };
		});
	},
};

/** Built-in modules that cost a millisecond or more to load and that few runs use: loaded when something of them is. */
const SELDOM_USED = ["node:child_process", "node:crypto", "node:os", "node:worker_threads"];

const lazyModules = {
	name: "lazy-modules",
	setup(bundler) {
		bundler.onResolve({ filter: /^node:/ }, ({ path, namespace }) =>
			namespace !== "lazy" && SELDOM_USED.includes(path) ? { path, namespace: "lazy" } : undefined,
		);
		bundler.onLoad({ filter: /./, namespace: "lazy" }, ({ path }) => {
			const load = `require(${JSON.stringify(path)})`;
			const names = Object.keys(createRequire(import.meta.url)(path));
			return {
				contents: `module.exports = { ${names.map((name) => `get ${name}() { return ${load}.${name}; }`).join(", ")} };`,
			};
		});
	},
};

/** Big packages that few runs use: files of their own, by name, which a start does not even read. */
const FILES_APART = { yaml: 'export * from "yaml"', zod: 'export * from "./src/config/zod.ts"' };

/** What prints the core stays out: there is a core beside every bundle. */
const CORE_PRINTER = /^\.\/build\.ts$/;

const filesApart = {
	name: "files-apart",
	setup(bundler) {
		bundler.onResolve({ filter: /^(yaml|\.\/zod\.ts)$/ }, ({ path }) => ({
			path: `./${basename(path, ".ts")}.cjs`,
			external: true,
		}));
		bundler.onResolve({ filter: CORE_PRINTER }, ({ path, resolveDir }) => {
			const compiled = relative(resolve(root, "src"), resolve(resolveDir, path)).replace(/\.ts$/, ".js");
			return { path: `../${compiled}`, external: true };
		});
	},
};

const output = resolve(root, "dist/command");
rmSync(output, { recursive: true, force: true });

const options = {
	absWorkingDir: root,
	bundle: true,
	format: "cjs",
	platform: "node",
	target: "node20.19",
	minifySyntax: true,
	minifyWhitespace: true,
	charset: "ascii",
	logLevel: "warning",
};

const project = {
	...options,
	// They look for files of their own; they are loaded when needed.
	external: ["iced-x86", "pino"],
	plugins: [filesApart, lazyFamilies, projectFiles, lazyModules],
};
await build({ ...project, entryPoints: [entry], outfile: join(output, "tsvmm.cjs") });
// The thread that makes units: of the command, and of the library.
await build({
	...project,
	entryPoints: ["src/machine/unit-worker.ts"],
	outfile: resolve(root, "dist/machine/unit-worker.cjs"),
});
for (const [name, contents] of Object.entries(FILES_APART)) {
	await build({ ...options, stdin: { contents, resolveDir: root }, outfile: join(output, `${name}.cjs`) });
}

// A ROM that exits at once brings everything into the code cache that each run needs.
const folder = mkdtempSync(join(tmpdir(), "tsvmm-"));
try {
	const rom = Buffer.alloc(65536, 0xf4);
	rom.set([0xb0, 0x00, 0xe6, 0xf4], 0xfff0); // mov al, 0; out 0xf4, al
	writeFileSync(join(folder, "rom"), rom);
	const load = `require(${JSON.stringify(join(root, "bin/load.cjs"))}).prepare()`;
	const words = ["run", "--bios", join(folder, "rom"), "--timeout", "10s"];
	execFileSync(process.execPath, ["-e", load, "tsvmm", ...words], { stdio: "ignore" });
} finally {
	rmSync(folder, { recursive: true });
}
