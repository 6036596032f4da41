/** Bytes for the guest, for example from the terminal. A device takes them when it has room. */
export interface ByteSource {
	/** Up to `max` bytes that have arrived; empty when none has. The array is the caller's. */
	take(max: number): Uint8Array;
	/** Calls `wake` whenever bytes have arrived, or the end has. */
	onArrival(wake: () => void): void;
	/** Everything has been taken and nothing more will come. */
	readonly ended: boolean;
}
