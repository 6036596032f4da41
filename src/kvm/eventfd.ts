/** A counter that one side adds to and the other reads, as Linux' eventfd without EFD_SEMAPHORE. */
export class EventFd {
	private value = 0n;
	private readonly listeners = new Set<() => void>();

	/** What has been added since the last read. */
	get pending(): bigint {
		return this.value;
	}

	/** Adds to the counter, which stops at 2^64 - 2, and tells those who wait. */
	signal(by = 1n): void {
		const most = (1n << 64n) - 2n;
		this.value = this.value + by > most ? most : this.value + by;
		for (const listener of this.listeners) listener();
	}

	/** The counter, which becomes 0. */
	read(): bigint {
		const { value } = this;
		this.value = 0n;
		return value;
	}

	/** Calls `listener` after each {@link signal}. @returns what stops that. */
	onSignal(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}
}
