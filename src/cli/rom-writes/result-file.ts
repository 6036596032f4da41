import { UserError } from "../../base/errors.ts";
import { count, type Of, object, optional, ShapeError, string } from "../../base/shape.ts";
import { romWriteReport } from "../../debug/rom-writes/report.ts";
import { readImage } from "../../host/read-file.ts";
import { RESULT_FORMAT } from "../report.ts";

/** What of a `--result` file the journal's readers use. */
const resultFile = object({
	/** Why the run ended. */
	outcome: string,
	status: count,
	instructions: count,
	guestTimeNs: count,
	romWrites: romWriteReport,
});

export type ResultFile = Of<typeof resultFile>;

const head = object({ format: optional(string), version: optional(count) });

/** Bytes: a full journal has some 4 MiB. */
const LARGEST = 2 ** 28;
const WANTED = "tsvmm run --result FILE writes one";

/** @throws UserError where the file is not what `tsvmm run --result` of this version or an older one has written. */
export function readResult(path: string): ResultFile {
	const text = Buffer.from(readImage(path, "rom-writes", LARGEST)).toString("utf8");
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		const began = text.trimStart().startsWith(`{\n\t"format": "${RESULT_FORMAT.format}"`);
		throw new UserError(
			`${path} ${began ? "is truncated: it ends within the result" : "is not a result file"}; ${WANTED}`,
		);
	}
	try {
		const { format, version } = head(value);
		if (format !== RESULT_FORMAT.format || version === undefined) {
			throw new UserError(`${path} is not a result file; ${WANTED}`);
		}
		if (version > RESULT_FORMAT.version) {
			const known = RESULT_FORMAT.version;
			throw new UserError(
				`${path} is of version ${version}, from a newer tsvmm; this one reads up to version ${known}`,
			);
		}
		return resultFile(value);
	} catch (error) {
		if (!(error instanceof ShapeError)) throw error;
		throw new UserError(`${path} is damaged: ${error.message}; ${WANTED}`);
	}
}
