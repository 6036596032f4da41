import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../base/errors.ts";
import { fileProblem } from "../base/file-problem.ts";

/** Bytes asked for at once where a file does not say how long it is. */
const PIECE = 65536;

/**
 * The whole of a guest image, from a file or a pipe. `what` names its option in messages, such as `--bios`.
 * @param condition what the limit depends on, for the message: ` with this --memory`.
 * @throws UserError when the file is missing, unreadable, empty or longer than `limit` bytes.
 */
export function readImage(file: string, what: string, limit: number, condition = ""): Uint8Array {
	let descriptor: number;
	try {
		descriptor = openSync(file, "r");
	} catch (error) {
		throw new UserError(`${what}: ${file} ${fileProblem(error)}`);
	}
	try {
		const { size } = fstatSync(descriptor);
		if (size > limit)
			throw new UserError(`${what}: ${file} is ${size} bytes long; at most ${limit} are possible${condition}`);
		const image = readAll(descriptor, size === 0 ? PIECE : size, limit);
		if (image.length > limit)
			throw new UserError(`${what}: ${file} is longer than the ${limit} bytes that are possible${condition}`);
		if (image.length === 0) throw new UserError(`${what}: ${file} is empty`);
		return image;
	} catch (error) {
		if (error instanceof UserError) throw error;
		throw new UserError(`${what}: ${file} ${fileProblem(error)}`);
	} finally {
		closeSync(descriptor);
	}
}

/** Everything up to the end, or a little more than `limit` bytes. `first`: how much there probably is. */
function readAll(descriptor: number, first: number, limit: number): Uint8Array {
	const pieces: Uint8Array[] = [];
	let total = 0;
	for (let size = first; total <= limit; size = PIECE) {
		const piece = Buffer.allocUnsafeSlow(size);
		const read = readSync(descriptor, piece);
		if (read === 0) break;
		pieces.push(piece.subarray(0, read));
		total += read;
	}
	return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}
