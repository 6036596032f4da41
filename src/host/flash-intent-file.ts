import { dirname } from "node:path";
import { codeOf } from "../base/file-problem.ts";
import { type FileCalls, readFully, writeAll } from "./file-calls.ts";
import { type Intent, intentBytes, readIntent } from "./flash-intent.ts";

/** Where an intent's magic is: with zeros there, the file has none. */
const NOTHING = new Uint8Array(32);

/** The file beside an image in which a change of several pages is written down before it is made. */
export class IntentFile {
	readonly path: string;
	private readonly files: FileCalls;
	/** Open once something has been written. */
	private descriptor: number | undefined;

	/** `image`: the image's path, without symbolic links. */
	constructor(image: string, files: FileCalls) {
		this.path = `${image}.intent`;
		this.files = files;
	}

	/** What a run that was killed has left; undefined where there is nothing, or nothing whole: then the change never began. */
	left(): Intent | undefined {
		const { files, path } = this;
		let descriptor: number;
		try {
			descriptor = files.open(path, "r");
		} catch (error) {
			if (codeOf(error) === "ENOENT") return undefined;
			throw error;
		}
		try {
			const bytes = new Uint8Array(files.size(descriptor) ?? 0);
			return readFully(files, descriptor, bytes) === bytes.length ? readIntent(bytes) : undefined;
		} finally {
			files.close(descriptor);
		}
	}

	/** The intent is on the disk when this returns. */
	write(intent: Intent): void {
		const { files } = this;
		const isNew = this.descriptor === undefined;
		this.descriptor ??= files.open(this.path, "w+");
		writeAll(files, this.descriptor, intentBytes(intent), 0);
		files.sync(this.descriptor);
		if (isNew) files.syncFolder(dirname(this.path));
	}

	/** There is none on the disk when this returns: what is changed from then on is not mistaken for a part of it. */
	clear(): void {
		const { files, descriptor } = this;
		if (descriptor === undefined) return;
		writeAll(files, descriptor, NOTHING, 0);
		files.sync(descriptor);
	}

	/** The file goes, and on the disk too. */
	remove(): void {
		this.files.remove(this.path);
		this.files.syncFolder(dirname(this.path));
	}

	/** `keep`: what is in the file is still needed. */
	close(keep: boolean): void {
		const { files, descriptor } = this;
		if (descriptor === undefined) return;
		this.descriptor = undefined;
		files.close(descriptor);
		if (keep) return;
		try {
			files.remove(this.path);
		} catch (error) {
			// It stays behind, with nothing in it.
			if (codeOf(error) === "") throw error;
		}
	}
}
