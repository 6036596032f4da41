import { numberOf } from "./packets.ts";
import type { DebugTarget, Stop, Watchpoint } from "./target.ts";

/** Types of Z packets. */
const TYPE = { software: "0", hardware: "1", write: "2", read: "3", access: "4" } as const;
const WATCH_NAMES: Readonly<Record<string, string>> = {
	[TYPE.write]: "watch",
	[TYPE.read]: "rwatch",
	[TYPE.access]: "awatch",
};
/** Most of them; each takes memory for good. */
const MOST = 65536;

/** A client's breakpoints and watchpoints. They take effect when the guest goes on. */
export class Breakpoints {
	private readonly target: DebugTarget;
	private readonly software = new Set<bigint>();
	private readonly hardware = new Set<bigint>();
	private readonly watches = new Map<string, { readonly type: string; readonly watch: Watchpoint }>();
	private changed = { stops: false, watches: false };

	constructor(target: DebugTarget) {
		this.target = target;
	}

	/** A Z or z packet: `Z0,ADDRESS,KIND`. @returns undefined for one that makes no sense. */
	packet(text: string): string | undefined {
		const insert = text[0] === "Z";
		const [, type = "", hexAddress, hexLength] =
			/^[Zz](\d),([0-9a-f]{1,16}),([0-9a-f]{1,16})$/i.exec(text.split(";")[0]!) ?? [];
		const [address, length] = [numberOf(hexAddress), numberOf(hexLength)];
		if (address === undefined || length === undefined) return undefined;
		if (type === TYPE.software || type === TYPE.hardware) {
			const set = type === TYPE.software ? this.software : this.hardware;
			if (insert && set.size >= MOST) return undefined;
			if (insert) set.add(address);
			else set.delete(address);
			this.changed.stops = true;
			return "OK";
		}
		if (!(type in WATCH_NAMES)) return "";
		if (length === 0n || (insert && this.watches.size >= MOST)) return undefined;
		const reads = type !== TYPE.write;
		const watch = { address, length, reads, writes: type !== TYPE.read };
		const key = `${type},${address},${length}`;
		if (insert) this.watches.set(key, { type, watch });
		else this.watches.delete(key);
		this.changed.watches = true;
		return "OK";
	}

	/** The guest is about to go on. */
	apply(): void {
		if (this.changed.stops) this.target.setBreakpoints(new Set([...this.software, ...this.hardware]));
		if (this.changed.watches) this.target.setWatchpoints([...this.watches.values()].map(({ watch }) => watch));
		this.changed = { stops: false, watches: false };
	}

	/** Whether a breakpoint that was hit is a hardware breakpoint alone. */
	isHardware(address: bigint): boolean {
		return this.hardware.has(address) && !this.software.has(address);
	}

	/** What stop replies call a watchpoint that was hit. */
	watchName({ address, access }: Extract<Stop, { kind: "watchpoint" }>): string {
		for (const { type, watch } of this.watches.values()) {
			const inside = address >= watch.address && address < watch.address + watch.length;
			if (inside && (access === "write" ? watch.writes : watch.reads)) return WATCH_NAMES[type]!;
		}
		return access === "write" ? "watch" : "rwatch";
	}
}
