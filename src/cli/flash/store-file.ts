import { accessSync, constants } from "node:fs";
import { UserError } from "../../base/errors.ts";
import { fileProblem } from "../../base/file-problem.ts";
import { FlashFile } from "../../host/flash-file.ts";
import { interruptedWrite, parseFtw } from "../../uefi/ftw.ts";
import { type FirmwareImage, parseImage } from "../../uefi/image.ts";
import { walk } from "../../uefi/piece.ts";
import { type StoreCells, VariableWriter } from "../../uefi/variable-writer.ts";
import { address, IMAGE_LIMIT, type PlacedStore, storeOf, WHAT } from "./firmware-file.ts";

/** One write, in the order in which the firmware would make it. */
interface Write {
	/** Bytes from the start of the file. */
	readonly offset: number;
	readonly bytes: Uint8Array;
}

/**
 * Changes the variables of a flash image in its file, which is locked meanwhile. Everything is worked out first: where something
 * is not possible nothing is written. Then each write reaches the file as a whole before the next one begins.
 */
export function editStore<Result>(file: string, edit: (writer: VariableWriter, place: PlacedStore) => Result): Result {
	checkWritable(file);
	let refused: string | undefined;
	const failed = (problem: string): void => {
		refused = problem;
	};
	const flash = new FlashFile(file, { what: WHAT, readonly: false, sectorSize: 1, limit: IMAGE_LIMIT, failed });
	let result: Result;
	try {
		const memory = new Uint8Array(flash.size);
		flash.load(memory);
		const image = parseImage(memory);
		refuseInterrupted(image, file);
		const place = storeOf(image, file);
		const writes: Write[] = [];
		result = edit(new VariableWriter(planning(place, writes), `${WHAT}: ${file}`), place);
		for (const { offset, bytes } of writes) {
			memory.set(bytes, offset);
			flash.write(offset, bytes.length);
			flash.flush();
		}
	} finally {
		flash.close();
	}
	if (refused !== undefined) throw new UserError(refused);
	return result;
}

/** A run can go without writing to its flash, and is told so; a change of variables cannot. */
function checkWritable(file: string): void {
	try {
		accessSync(file, constants.W_OK);
	} catch (error) {
		throw new UserError(`${WHAT}: ${file} ${fileProblem(error)}`);
	}
}

/** What the firmware will put into the store at its next start would undo every change. */
function refuseInterrupted(image: FirmwareImage, file: string): void {
	for (const { kind, bytes, offset } of walk(image.pieces)) {
		const block = kind === "ftw" ? parseFtw(bytes) : undefined;
		if (block === undefined || interruptedWrite(block) === undefined) continue;
		throw new UserError(
			`${WHAT}: ${file}: the firmware was interrupted while it wrote its variables anew (${address(offset)}); start it once`,
		);
	}
}

/** Cells that remember what is written to them and leave the file alone. */
function planning({ offset, bytes }: PlacedStore, writes: Write[]): StoreCells {
	const copy = Uint8Array.from(bytes);
	const write = (at: number, part: Uint8Array): void => {
		copy.set(part, at);
		writes.push({ offset: offset + at, bytes: Uint8Array.from(part) });
	};
	return { bytes: copy, program: write, replace: (whole) => write(0, whole) };
}
