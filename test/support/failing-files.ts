import type { FileCalls } from "../../src/host/file-calls.ts";

/** What the host does in the place of the call that it is told to fail at. */
export type Failure =
	/** The process is killed there; of a write, so many pages have been made. */
	| { readonly kind: "kill"; readonly pages: number }
	/** The disk is full, or broken: the call throws that, and so does every write after it. */
	| { readonly kind: "refuse"; readonly code: "ENOSPC" | "EIO" };

/** A kill: nothing of the process runs after it. Tests catch it where the process would be gone. */
export class Killed extends Error {}

interface Inode {
	bytes: Uint8Array;
	/** What a crash of the host leaves for certain. */
	durable: Uint8Array;
}

/** The page that a host writes whole or not at all. */
const PAGE = 4096;
/** What a disk writes whole or not at all. */
const SECTOR = 512;

/**
 * Files in memory, on a host that fails at a given call. A kill leaves what has been written; a crash of the host only what has been
 * synced, and of the rest any sectors and names.
 */
export class FailingFiles implements FileCalls {
	/** How often it has been called. */
	calls = 0;
	/** The names of the calls. */
	readonly log: string[] = [];
	private readonly names = new Map<string, Inode>();
	/** Names as the disk has them for certain. */
	private readonly durableNames = new Map<string, Inode>();
	private readonly open_ = new Map<number, Inode>();
	private readonly writers = new Set<string>();
	private next = 3;
	private failAt = Number.POSITIVE_INFINITY;
	private failure: Failure = { kind: "kill", pages: 0 };
	private refusing = false;

	/** A file that is on the disk. */
	put(path: string, bytes: Uint8Array): void {
		const inode = { bytes: bytes.slice(), durable: bytes.slice() };
		this.names.set(path, inode);
		this.durableNames.set(path, inode);
	}

	get(path: string): Uint8Array | undefined {
		return this.names.get(path)?.bytes;
	}

	/** From now on the `call`th call fails; 0 is the next. */
	fail(call: number, failure: Failure): void {
		this.calls = 0;
		this.log.length = 0;
		this.failAt = call;
		this.failure = failure;
	}

	/** The process is gone, and with it its locks and descriptors. */
	restart(): void {
		this.open_.clear();
		this.writers.clear();
		this.failAt = Number.POSITIVE_INFINITY;
		this.refusing = false;
		this.calls = 0;
	}

	/** The host is gone, too. `random` gives numbers below 1: of what was not synced, it decides sector by sector and name by name. */
	crash(random: () => number): void {
		for (const [path, inode] of [...this.names]) {
			if (this.durableNames.get(path) !== inode && random() < 0.5) this.names.delete(path);
		}
		for (const [path, inode] of this.durableNames) {
			if (!this.names.has(path) && random() < 0.5) this.names.set(path, inode);
		}
		for (const inode of new Set(this.names.values())) {
			const { bytes, durable } = inode;
			const after = new Uint8Array(random() < 0.5 ? bytes.length : Math.max(durable.length, 0));
			for (let at = 0; at < after.length; at += SECTOR) {
				const from = random() < 0.5 ? bytes : durable;
				after.set(from.subarray(at, Math.min(at + SECTOR, after.length)), at);
			}
			inode.bytes = after;
			inode.durable = after.slice();
		}
		this.durableNames.clear();
		for (const [path, inode] of this.names) this.durableNames.set(path, inode);
		this.restart();
	}

	resolve(path: string): string {
		return path;
	}

	open(path: string, mode: "r" | "r+" | "w+"): number {
		this.call(`open ${path}`);
		let inode = this.names.get(path);
		if (inode === undefined && mode !== "w+") throw refusal("ENOENT");
		if (inode === undefined || mode === "w+") {
			if (inode === undefined && this.refusing) throw refusal("ENOSPC");
			inode ??= { bytes: new Uint8Array(0), durable: new Uint8Array(0) };
			inode.bytes = new Uint8Array(0);
			this.names.set(path, inode);
		}
		this.open_.set(this.next, inode);
		return this.next++;
	}

	size(descriptor: number): number {
		return this.inode(descriptor).bytes.length;
	}

	read(descriptor: number, into: Uint8Array, position: number): number {
		const part = this.inode(descriptor).bytes.subarray(position, position + into.length);
		into.set(part);
		return part.length;
	}

	write(descriptor: number, from: Uint8Array, position: number): number {
		const inode = this.inode(descriptor);
		const first = PAGE - (position % PAGE);
		this.call(`write ${from.length} at ${position}`, ({ kind, ...failure }) => {
			if (kind !== "kill" || !("pages" in failure) || failure.pages === 0) return;
			put(inode, from.subarray(0, first + (failure.pages - 1) * PAGE), position);
		});
		if (this.refusing) throw refusal(this.failure.kind === "refuse" ? this.failure.code : "EIO");
		put(inode, from, position);
		return from.length;
	}

	sync(descriptor: number): void {
		this.call("sync");
		const inode = this.inode(descriptor);
		inode.durable = inode.bytes.slice();
	}

	syncFolder(): void {
		this.call("sync folder");
		this.durableNames.clear();
		for (const [path, inode] of this.names) this.durableNames.set(path, inode);
	}

	remove(path: string): void {
		this.call(`remove ${path}`);
		this.names.delete(path);
	}

	close(descriptor: number): void {
		this.open_.delete(descriptor);
	}

	lock(path: string): () => void {
		if (this.writers.has(path)) throw new Error(`${path} is locked`);
		this.writers.add(path);
		return () => this.writers.delete(path);
	}

	private inode(descriptor: number): Inode {
		const inode = this.open_.get(descriptor);
		if (inode === undefined) throw new Error(`descriptor ${descriptor} is not open`);
		return inode;
	}

	/** One more call; `partly` does what a kill in the middle of it leaves. */
	private call(name: string, partly: (failure: Failure) => void = () => {}): void {
		if (this.calls > this.failAt && this.failure.kind === "kill") throw new Killed();
		this.log.push(name);
		if (this.calls++ !== this.failAt) return;
		if (this.failure.kind === "refuse") {
			this.refusing = true;
			if (!name.startsWith("write")) throw refusal(this.failure.code);
			return;
		}
		partly(this.failure);
		throw new Killed();
	}
}

function put(inode: Inode, bytes: Uint8Array, position: number): void {
	const end = position + bytes.length;
	if (end > inode.bytes.length) {
		const longer = new Uint8Array(end);
		longer.set(inode.bytes);
		inode.bytes = longer;
	}
	inode.bytes.set(bytes, position);
}

function refusal(code: string): Error {
	return Object.assign(new Error(`${code}: refused`), { code, syscall: "write" });
}
