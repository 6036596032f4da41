import { RAX } from "../../isa/registers.ts";
import type { UnitBlock } from "./discover.ts";
import { registerUse } from "./register-use.ts";

/** Registers of a unit, as bits. */
export interface UnitRegisterUse {
	/** Read or written by its own code, handlers aside. */
	readonly used: number;
	readonly written: number;
	/** For each block: those whose value in the state may be old at its end, or in front of the handler that ends it. */
	readonly dirty: readonly number[];
}

/**
 * Follows which registers differ from the state. `successors`: numbers of the blocks that one branches to directly;
 * `portInPlace`: whether a block ends with a port access that is done without a handler.
 */
export function analyseRegisters(
	blocks: readonly UnitBlock[],
	successors: (block: UnitBlock) => readonly number[],
	portInPlace: (block: UnitBlock) => boolean,
): UnitRegisterUse {
	let used = 0;
	let written = 0;
	const handlers = blocks.map((block) => block.terminator.kind === "handler" && !portInPlace(block));
	const own = blocks.map((block, n) => {
		const { instructions } = block;
		let writes = portInPlace(block) ? 1 << RAX : 0;
		const count = instructions.length - (handlers[n] ? 1 : 0);
		for (const { decoded } of instructions.slice(0, count)) {
			const use = registerUse(decoded);
			used |= use.reads | use.writes;
			writes |= use.writes;
		}
		written |= writes;
		return writes;
	});
	const before = blocks.map(() => 0);
	/** What comes through the head, where every entry is reached from. */
	let head = 0;
	for (let changed = true; changed; ) {
		changed = false;
		blocks.forEach((block, n) => {
			const { kind } = block.terminator;
			const start = before[n]! | (block.entry ? head : 0);
			const end = handlers[n] ? 0 : start | own[n]!;
			if (kind === "call" || kind === "indirect") {
				changed ||= (head | end) !== head;
				head |= end;
			}
			for (const to of successors(block)) {
				changed ||= (before[to]! | end) !== before[to];
				before[to]! |= end;
			}
		});
	}
	return { used, written, dirty: blocks.map(({ entry }, n) => before[n]! | own[n]! | (entry ? head : 0)) };
}
