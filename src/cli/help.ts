import { type Command, Help } from "commander";
import type { Option } from "../config/option.ts";
import { STATUS_MEANINGS } from "./exit-status.ts";

/** Longer lines are hard to read, however wide the terminal is. */
const WIDEST = 120;
/** Width of the column of flags; a longer one has a line to itself. */
const TERM_WIDTH = 30;
const STATUS_WIDTH = 10;

/** How the flag of an option looks in help: `-m, --memory <SIZE>`. */
export function flagSyntax(option: Option): string {
	const short = option.short === undefined ? "" : `-${option.short}, `;
	const { placeholder } = option.kind;
	return `${short}--${option.name}${placeholder === "" ? "" : ` <${placeholder}>`}`;
}

/** What help and documentation say about an option's default; nothing when there is none. */
export function defaultText(option: Option): string {
	return option.default.length === 0 ? "" : ` (default: ${option.default.join(", ")})`;
}

/** Columns that help may use. */
export function helpWidth(): number {
	return Math.min(process.stdout.columns ?? 80, WIDEST);
}

function formatItem(term: string, termWidth: number, description: string, helper: Help): string {
	const format = Help.prototype.formatItem;
	if (term.length <= termWidth) return format.call(helper, term, termWidth, description, helper);
	return `  ${term}\n${format.call(helper, "", termWidth, description, helper)}`;
}

/** Two columns, the first narrow. */
export const HELP_LAYOUT = {
	showGlobalOptions: false,
	padWidth: (command: Command, helper: Help): number =>
		Math.min(Help.prototype.padWidth.call(helper, command, helper), TERM_WIDTH),
	formatItem,
};

/** The exit statuses, as help of `command` ends. */
export function statusHelp(command: Command): string {
	const helper = command.createHelp();
	helper.helpWidth = helpWidth();
	const rows = STATUS_MEANINGS.map(([status, meaning]) =>
		Help.prototype.formatItem.call(helper, status, STATUS_WIDTH, meaning, helper),
	);
	return `\nExit status:\n${rows.join("\n")}`;
}
