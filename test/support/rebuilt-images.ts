import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Runs a build script (`script [output folder]`) into an empty folder.
 *
 * @param script path of the shell script
 * @returns what it wrote: file name → bytes
 */
export function rebuildImages(script: string): Map<string, Buffer> {
	const folder = mkdtempSync(join(tmpdir(), "tsvmm-images-"));
	try {
		execFileSync("sh", [script, folder], { stdio: ["ignore", "ignore", "pipe"] });
		return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/** The first line `tool --version` (or what `args` says) prints; undefined where the tool is not installed. */
export function toolVersion(tool: string, args: readonly string[] = ["--version"]): string | undefined {
	try {
		return execFileSync(tool, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0];
	} catch {
		return undefined;
	}
}
