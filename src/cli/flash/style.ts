import { isTerminal } from "../../host/terminal.ts";

export type Mark = "title" | "name" | "quiet" | "good" | "bad";

/** How text looks on standard output: coloured and no wider than a terminal, as it is everywhere else. */
export interface Style {
	paint(mark: Mark, text: string): string;
	/** Cuts a line that a terminal would break. Before painting: it counts characters. */
	fit(line: string): string;
}

/** For files and pipes. */
export const PLAIN_STYLE: Style = { paint: (_mark, text) => text, fit: (line) => line };

/** The style of standard output as it is now; NO_COLOR leaves colours out. */
export async function outputStyle(): Promise<Style> {
	if (!isTerminal(1)) return PLAIN_STYLE;
	const width = process.stdout.columns ?? 80;
	const fit = (line: string): string => (line.length > width ? `${line.slice(0, width - 1)}…` : line);
	if ((process.env["NO_COLOR"] ?? "") !== "") return { ...PLAIN_STYLE, fit };
	const { default: chalk } = await import("chalk");
	const paints: Readonly<Record<Mark, (text: string) => string>> = {
		title: chalk.bold,
		name: chalk.cyan,
		quiet: chalk.dim,
		good: chalk.green,
		bad: chalk.red,
	};
	return { paint: (mark, text) => paints[mark](text), fit };
}
