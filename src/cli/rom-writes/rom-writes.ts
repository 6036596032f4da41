import { writeFileSync } from "node:fs";
import { UserError } from "../../base/errors.ts";
import { fileProblem } from "../../base/file-problem.ts";
import { outputStyle, PLAIN_STYLE } from "../flash/style.ts";
import { romWritesPage } from "./page.ts";
import { readResult } from "./result-file.ts";
import { type Selection, select } from "./selection.ts";
import { TextReport, type View } from "./text.ts";

export const FORMATS = ["text", "json", "html"] as const;

export interface RomWritesOptions extends Selection {
	readonly by: View;
	readonly format: (typeof FORMATS)[number];
	/** Absent: standard output. */
	readonly output?: string | undefined;
}

/** Columns where nobody says how many there are, and the most that are used. */
const USUAL_WIDTH = 100;
const WIDEST = 160;

/**
 * `tsvmm rom-writes`: what is to be printed; nothing where it went to a file.
 * @throws UserError for a file that is no result, a range that is none, an output that cannot be written.
 */
export async function romWrites(file: string, options: RomWritesOptions): Promise<string> {
	const { by, format, output } = options;
	const result = readResult(file);
	const report = select(result.romWrites, options);
	const text = async (): Promise<string> => {
		if (output !== undefined) return new TextReport(report, PLAIN_STYLE, USUAL_WIDTH).write(by);
		const columns = Math.min(process.stdout.columns ?? USUAL_WIDTH, WIDEST);
		return new TextReport(report, await outputStyle(), columns).write(by);
	};
	const { allRows: _, ...plain } = report;
	const json = (): string => `${JSON.stringify(plain, null, "\t")}\n`;
	const written = format === "text" ? await text() : format === "json" ? json() : romWritesPage(result, report);
	if (output === undefined) return written;
	try {
		writeFileSync(output, written);
	} catch (error) {
		throw new UserError(`--output: ${output} ${fileProblem(error)}`);
	}
	return "";
}
