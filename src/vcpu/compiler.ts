/** Compiles hot code; see jit/. */
export interface Compiler {
	/** Block counts down from this to its compilation. */
	readonly heat: number;
	/** A block is hot. */
	compile(block: number): void;
	/** A run begins: what has been compiled meanwhile can be used. */
	poll(): void;
	/** A block was decoded. */
	decoded(block: number): void;
	/** The unit at a block wants its pages confirmed. */
	verify(block: number): void;
	/** A unit with an instruction at this linear address (u64) must not run again. */
	cut(linear: bigint): void;
	/** A block goes; what was compiled from it must not run again. */
	removed(block: number): void;
	/** Every block went. */
	flushed(): void;
}
