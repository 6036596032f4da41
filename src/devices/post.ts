import type { AccessSize, ByteSink, Device } from "../bus/device.ts";

export interface PostState {
	code: number;
}

/**
 * Port 0x80: firmware's progress codes. The byte is a spare DMA page register (82371AB 4.1), so it reads back; each written
 * code also goes to the sink.
 */
export class PostPort implements Device<PostState> {
	readonly name = "post";
	readonly sizes: readonly AccessSize[] = [1];
	private readonly sink: ByteSink;
	private state: PostState = { code: 0 };

	constructor(sink: ByteSink) {
		this.sink = sink;
	}

	/** The code written last, 0 after reset. */
	get code(): number {
		return this.state.code;
	}

	read(offset: number): number {
		return offset === 0 ? this.state.code : 0xff;
	}

	write(offset: number, _size: AccessSize, value: number): void {
		if (offset !== 0) return;
		this.state.code = value & 0xff;
		this.sink.write(this.state.code);
	}

	reset(): void {
		this.state = { code: 0 };
	}

	save(): PostState {
		return { ...this.state };
	}

	load(state: PostState): void {
		this.state = { ...state };
	}
}
