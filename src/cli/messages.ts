import { ByteWriter, writeFully } from "../host/byte-writer.ts";
import { isTerminal } from "../host/terminal.ts";

/** How important a line is; a terminal shows it in a colour. */
export type Tone = "plain" | "good" | "bad" | "quiet";

export type Paint = (tone: Tone, text: string) => string;

/** Colours for a terminal on standard error; elsewhere text stays as it is, and chalk is not even loaded. */
export async function painter(): Promise<Paint> {
	if (!isTerminal(2)) return (_tone, text) => text;
	const { chalkStderr } = await import("chalk");
	return (tone, text) => {
		if (tone === "good") return chalkStderr.green(text);
		if (tone === "bad") return chalkStderr.red(text);
		return tone === "quiet" ? chalkStderr.dim(text) : text;
	};
}

/** What tsvmm itself says, line by line on standard error, so that standard output is the guest's alone. */
export class Messages {
	private readonly writer = new ByteWriter(2, () => {});
	private readonly before: () => void;
	private readonly paint: Paint;
	/** Text of the progress line that stands on the terminal now. */
	private standing = "";

	/** `before` runs ahead of each line: it brings out what the guest has written so far. */
	constructor(paint: Paint, before: () => void = () => {}) {
		this.paint = paint;
		this.before = before;
	}

	line(text: string, tone: Tone = "plain"): void {
		this.before();
		this.progress("");
		this.writer.writeText(`${this.paint(tone, text)}\n`);
	}

	/** Replaces the progress line; empty takes it away. Only for terminals. */
	progress(text: string): void {
		if (text === this.standing) return;
		this.writer.writeText(`\r\x1b[K${this.paint("quiet", text)}`);
		this.standing = text;
	}

	flush(): void {
		this.writer.flush();
	}
}

/** Writes to standard output, at once; a reader that has gone away wants no more of it. */
export function print(output: string | Uint8Array): void {
	try {
		writeFully(1, typeof output === "string" ? Buffer.from(output) : output);
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
	}
}
