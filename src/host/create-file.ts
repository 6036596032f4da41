import { closeSync, constants, copyFileSync, fsyncSync, linkSync, openSync, rmSync } from "node:fs";
import { writeFully } from "./byte-writer.ts";

const codeOf = (error: unknown): unknown => (error instanceof Error && "code" in error ? error.code : undefined);
/** What file systems without links say. */
const NO_LINKS: readonly unknown[] = ["EPERM", "ENOTSUP", "ENOSYS"];

/**
 * Makes a file with its contents in one step: nobody sees it half written. False where there is a file of that name already.
 * @throws what the file system says where the file cannot be made.
 */
export function createFile(path: string, bytes: Uint8Array): boolean {
	const draft = `${path}.${process.pid}.new`;
	try {
		const descriptor = openSync(draft, "w");
		try {
			writeFully(descriptor, bytes);
			fsyncSync(descriptor);
		} finally {
			closeSync(descriptor);
		}
		place(draft, path);
		return true;
	} catch (error) {
		if (codeOf(error) === "EEXIST") return false;
		throw error;
	} finally {
		rmSync(draft, { force: true });
	}
}

function place(draft: string, path: string): void {
	try {
		linkSync(draft, path);
	} catch (error) {
		if (!NO_LINKS.includes(codeOf(error))) throw error;
		copyFileSync(draft, path, constants.COPYFILE_EXCL);
	}
}
