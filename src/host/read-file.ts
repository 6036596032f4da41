import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";

/**
 * The whole of a guest image. `what` names its option in messages, such as `--bios`.
 * @throws UserError when the file is missing, unreadable, empty or longer than `limit` bytes.
 */
export function readImage(file: string, what: string, limit: number): Uint8Array {
	let descriptor: number;
	try {
		descriptor = openSync(file, "r");
	} catch (error) {
		throw new UserError(`${what}: ${file} ${fileProblem(error)}`);
	}
	try {
		const { size } = fstatSync(descriptor);
		if (size > limit) throw new UserError(`${what}: ${file} is ${size} bytes long; at most ${limit} are possible`);
		const image = Buffer.alloc(size);
		let filled = 0;
		while (filled < size) {
			const read = readSync(descriptor, image, filled, size - filled, filled);
			if (read === 0) break;
			filled += read;
		}
		if (filled === 0) throw new UserError(`${what}: ${file} is empty`);
		return image.subarray(0, filled);
	} catch (error) {
		if (error instanceof UserError) throw error;
		throw new UserError(`${what}: ${file} ${fileProblem(error)}`);
	} finally {
		closeSync(descriptor);
	}
}
