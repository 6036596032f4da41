import { readdirSync } from "node:fs";
import { join } from "node:path";
import { SIBLINGS } from "./load-symbols.ts";

/** More files than a build has; the rest is not looked at. */
const MOST_FILES = 200_000;

/** A folder with what a build of edk2 left: the files with symbols, by module. */
export class Edk2Build {
	private readonly folder: string;
	private index: ReadonlyMap<string, readonly string[]> | undefined;

	constructor(folder: string) {
		this.folder = folder;
	}

	/**
	 * Files that may have a module's symbols, the likeliest first.
	 * @param built the path under which the module was linked: builds for two processors have modules of the same name
	 */
	filesOf(module: string, built: string | undefined): readonly string[] {
		this.index ??= this.indexed();
		const parts = (path: string): string[] => path.split(/[/\\]/).reverse().slice(1);
		const wanted = parts(built ?? "");
		const agreeing = (path: string): number => {
			const own = parts(path);
			const differs = own.findIndex((part, n) => part !== wanted[n]);
			return differs < 0 ? own.length : differs;
		};
		const kind = (path: string): number => SIBLINGS.findIndex((ending) => path.endsWith(ending));
		const files = this.index.get(module) ?? [];
		return [...files].sort((a, b) => agreeing(b) - agreeing(a) || kind(a) - kind(b) || (a < b ? -1 : 1));
	}

	private indexed(): Map<string, string[]> {
		const index = new Map<string, string[]>();
		const folders = [this.folder];
		let left = MOST_FILES;
		for (let folder = folders.pop(); folder !== undefined && left > 0; folder = folders.pop()) {
			for (const entry of entriesOf(folder)) {
				if (left-- <= 0) break;
				const path = join(folder, entry.name);
				// Links are not followed: they could lead in circles.
				if (entry.isDirectory()) folders.push(path);
				const ending = SIBLINGS.find((each) => entry.name.endsWith(each));
				if (!entry.isFile() || ending === undefined) continue;
				const module = entry.name.slice(0, -ending.length);
				const known = index.get(module);
				if (known === undefined) index.set(module, [path]);
				else known.push(path);
			}
		}
		return index;
	}
}

function entriesOf(folder: string) {
	try {
		return readdirSync(folder, { withFileTypes: true });
	} catch {
		// What cannot be read has no symbols to offer.
		return [];
	}
}
