/** Bytes for the guest, for example from the terminal. A device takes them when it has room. */
export interface ByteSource {
	/** Up to `max` bytes that have arrived; empty when none has. The array is the caller's. */
	take(max: number): Uint8Array;
	/** Calls `wake` whenever bytes have arrived, or the end has. */
	onArrival(wake: () => void): void;
	/** Everything that arrives by itself has been taken, and no more of it will come. */
	readonly ended: boolean;
}
