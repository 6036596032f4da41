// Bundles the command into dist/command: loading one file instead of a hundred is what makes tsvmm start quickly.
// The library in dist stays as tsc wrote it.
import { readFile } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { build } from "esbuild";

const root = resolve(import.meta.dirname, "..");
const entry = process.argv[2] ?? "src/cli/bin.ts";

/** Modules that look for files beside themselves must keep finding them: their address is that of tsc's output. */
const moduleAddresses = {
	name: "module-addresses",
	setup(bundler) {
		bundler.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
			const source = await readFile(path, "utf8");
			const compiled = relative(resolve(root, "src"), path).replace(/\.ts$/, ".js");
			const address = `new URL(${JSON.stringify(`../${compiled}`)}, import.meta.url).href`;
			return { contents: source.replaceAll("import.meta.url", address), loader: "ts" };
		});
	},
};

await build({
	absWorkingDir: root,
	entryPoints: [entry],
	outdir: "dist/command",
	entryNames: "tsvmm",
	chunkNames: "[name]-[hash]",
	bundle: true,
	splitting: true,
	format: "esm",
	platform: "node",
	target: "node20.19",
	// iced-x86 and pino look for files of their own; they are loaded when needed.
	external: ["iced-x86", "pino"],
	banner: {
		js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
	},
	minifySyntax: true,
	minifyWhitespace: true,
	plugins: [moduleAddresses],
	logLevel: "warning",
});
