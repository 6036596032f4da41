import type { ByteSource } from "../../host/byte-source.ts";

/** What a machine was told by its input, in order. */
type Told =
	| { readonly kind: "bytes"; readonly bytes: Uint8Array }
	| { readonly kind: "ended"; readonly ended: boolean }
	| { readonly kind: "arrival" };

const NOTHING = new Uint8Array(0);

/** Input for one machine as it comes, and the same again for those that follow it. */
export class RecordedInput implements ByteSource {
	private readonly source: ByteSource;
	private readonly followers: RepeatedInput[] = [];

	constructor(source: ByteSource) {
		this.source = source;
	}

	/** What another machine gets that asks the same questions later. */
	follower(): RepeatedInput {
		const follower = new RepeatedInput();
		this.followers.push(follower);
		return follower;
	}

	take(max: number): Uint8Array {
		const bytes = this.source.take(max);
		this.tell({ kind: "bytes", bytes: bytes.slice() });
		return bytes;
	}

	get ended(): boolean {
		const { ended } = this.source;
		this.tell({ kind: "ended", ended });
		return ended;
	}

	onArrival(wake: () => void): void {
		this.source.onArrival(() => {
			this.tell({ kind: "arrival" });
			wake();
		});
	}

	private tell(told: Told): void {
		for (const follower of this.followers) follower.tell(told);
	}
}

/** What the first machine was told, told again. */
export class RepeatedInput implements ByteSource {
	private readonly told: Told[] = [];
	private wake: () => void = () => {};

	/** The first machine was told this. */
	tell(told: Told): void {
		this.told.push(told);
	}

	/** Arrivals that came before what the machine does next. */
	arrive(): void {
		while (this.told[0]?.kind === "arrival") {
			this.told.shift();
			this.wake();
		}
	}

	take(max: number): Uint8Array {
		if (this.told[0]?.kind !== "bytes") return NOTHING;
		const told = this.told.shift();
		return told?.kind === "bytes" ? told.bytes.subarray(0, max) : NOTHING;
	}

	get ended(): boolean {
		if (this.told[0]?.kind !== "ended") return true;
		const told = this.told.shift();
		return told?.kind !== "ended" || told.ended;
	}

	onArrival(wake: () => void): void {
		this.wake = wake;
	}
}
