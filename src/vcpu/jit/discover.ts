import { Decoded, type Decoder } from "../../isa/decoder.ts";
import type { Check } from "../../isa/family.ts";
import { codeSizeOf, KEY } from "../layout.ts";
import { type CodePlace, isCanonical, linearOf, pageOf, regionOf } from "./code-place.ts";

/** One instruction of a unit: what the decoder said, copied. */
export interface UnitInstruction {
	readonly decoded: Decoded;
	/** IP of the instruction and of the next one, within CS. */
	readonly ip: number;
	readonly next: number;
}

/** How a block of a unit ends. */
export type Terminator =
	/** Goes on at `next`. */
	| { readonly kind: "fall"; readonly next: number }
	/** Direct jump or conditional jump: targets by IP. The instruction itself is the block's last. */
	| { readonly kind: "jump"; readonly target: number; readonly next: number | undefined }
	/** Direct call; `next` is where it returns to. */
	| { readonly kind: "call"; readonly target: number; readonly next: number }
	/** Return, indirect jump or indirect call: the target is a value. `next`: return point of an indirect call. */
	| { readonly kind: "indirect"; readonly next: number | undefined }
	/** The block's last instruction is done by its handler in the core; it goes on at `next` where `continues`. */
	| { readonly kind: "handler"; readonly next: number; readonly continues: boolean }
	/** The instruction at `ip` is the interpreter's. */
	| { readonly kind: "interpret"; readonly ip: number };

export interface UnitBlock {
	/** IP of the first instruction. */
	readonly ip: number;
	readonly instructions: UnitInstruction[];
	terminator: Terminator;
	/** Reached from outside, through the head. */
	entry: boolean;
}

/** Where the code comes from: bytes at an IP, or undefined where they cannot be had without a fault. */
export interface CodeSource {
	/** Host bytes, offset of the byte at `ip`, and how many bytes up to the end of its page; undefined: leave it alone. */
	at(ip: number): { readonly bytes: Uint8Array; readonly offset: number; readonly room: number } | undefined;
	/** Whether code at `ip` has ever run: what has not is left out. */
	executed(ip: number): boolean;
}

/** What is known of code: by pages, and by IPs. */
export interface CodeKnowledge {
	/** The bytes of a page by its linear address, from `offset` on; undefined: leave it alone. */
	page(linear: number): { readonly bytes: Uint8Array; readonly offset: number } | undefined;
	/** Whether code at an IP has ever run. */
	executed(ip: number): boolean;
	/** Whether the instruction at an IP is the interpreter's, for a reason outside the code. */
	interpreted(ip: number): boolean;
}

/** Code in the region of `root`. */
export function codeSource(place: CodePlace, root: number, { page, executed, interpreted }: CodeKnowledge): CodeSource {
	const region = regionOf(root);
	const long = (place.key & KEY.long) !== 0;
	return {
		executed: (ip) => (!long || regionOf(ip) === region) && executed(ip),
		at: (ip) => {
			if (long ? regionOf(ip) !== region || regionOf(ip + 15) !== region : ip + 15 > place.csHigh) return undefined;
			if (interpreted(ip)) return undefined;
			const linear = linearOf(place, ip);
			const found = page(pageOf(linear));
			return found && { bytes: found.bytes, offset: found.offset + (linear & 4095), room: 4096 - (linear & 4095) };
		},
	};
}

export interface DiscoverOptions {
	readonly decoder: Decoder;
	readonly source: CodeSource;
	readonly key: number;
	/** Most blocks, most instructions in all of them. */
	readonly limit: number;
	readonly instructionLimit: number;
	/** Most instructions per block. */
	readonly blockLimit: number;
}

/**
 * Follows direct control flow from `roots`: jumps, both sides of conditional ones, calls with what they call and where
 * they return. Blocks are cut wherever something jumps to.
 */
export function discover(roots: readonly number[], options: DiscoverOptions): Map<number, UnitBlock> {
	const { limit } = options;
	const leaders = new Set<number>(roots);
	const decoded = new Map<number, UnitInstruction | undefined>();
	const work = [...roots];
	const entries = new Set<number>(roots);
	const seen = new Set<number>();
	// First pass: find leaders by walking straight-line runs.
	let total = 0;
	while (work.length > 0 && seen.size < limit && total < options.instructionLimit) {
		const start = work.shift()!;
		if (seen.has(start)) continue;
		seen.add(start);
		let ip = start;
		for (let n = 0; ; n++) {
			if (n > 0 && leaders.has(ip)) break;
			const instruction = decodeAt(ip, decoded, options);
			if (!instruction) break;
			const kind = classify(instruction, options);
			total++;
			if (kind === "plain") {
				if (n + 1 >= options.blockLimit) {
					leaders.add(instruction.next);
					work.push(instruction.next);
					break;
				}
				ip = instruction.next;
				continue;
			}
			for (const [target, isEntry] of successors(instruction, kind)) {
				if (!leaders.has(target) && !options.source.executed(target)) continue;
				leaders.add(target);
				if (isEntry) entries.add(target);
				if (!seen.has(target)) work.push(target);
			}
			break;
		}
	}
	// Second pass: cut at leaders.
	const blocks = new Map<number, UnitBlock>();
	for (const start of seen) {
		const instructions: UnitInstruction[] = [];
		let ip = start;
		let terminator: Terminator | undefined;
		while (!terminator) {
			if (instructions.length > 0 && leaders.has(ip)) {
				terminator = { kind: "fall", next: ip };
				break;
			}
			const instruction = decodeAt(ip, decoded, options);
			if (!instruction) {
				terminator = { kind: "interpret", ip };
				break;
			}
			const kind = classify(instruction, options);
			if (kind === "interpret") {
				terminator = { kind: "interpret", ip };
				break;
			}
			instructions.push(instruction);
			ip = instruction.next;
			if (kind === "handler") terminator = { kind, next: ip, continues: continues(instruction) };
			else if (kind === "jump") {
				const conditional = instruction.decoded.instance?.meaning.jump?.when !== undefined;
				terminator = { kind, target: directTarget(instruction), next: conditional ? instruction.next : undefined };
			} else if (kind === "call") terminator = { kind, target: directTarget(instruction), next: instruction.next };
			else if (kind === "indirect") {
				const isCall = (instruction.decoded.instance?.meaning.stores.length ?? 0) > 0;
				terminator = { kind, next: isCall ? instruction.next : undefined };
			} else if (instructions.length >= options.blockLimit && !leaders.has(ip)) {
				terminator = { kind: "fall", next: ip };
			}
		}
		blocks.set(start, { ip: start, instructions, terminator, entry: entries.has(start) });
	}
	return blocks;
}

/** Whether a check always holds in a mode. */
export function passes(check: Check, key: number): boolean {
	switch (check) {
		case "protected":
			return (key & KEY.real) === 0;
		case "only64":
			return (key & KEY.long) !== 0;
		case "not64":
			return (key & KEY.long) === 0;
		case "sse":
			return (key & KEY.sse) !== 0;
		case "avx":
			return (key & KEY.avx) !== 0;
		default:
			return false;
	}
}

type Kind = "plain" | "jump" | "call" | "indirect" | "handler" | "interpret";

/** Helpers behind which compiled code goes on although they end decoded blocks: they change no mode and no segment. */
const CONTINUES = new Set(["in", "out", "string", "rdtsc", "setDirection", "pushFlags"]);
/** Helpers behind which nothing follows. */
const NEVER_RETURNS = new Set(["iret", "returnFar", "jumpFar", "sysexit"]);

function continues({ decoded }: UnitInstruction): boolean {
	const { instance } = decoded;
	if (!instance?.form.family.ends) return true;
	return CONTINUES.has(instance.meaning.helper?.name ?? "");
}

/** Whether an instruction can be compiled, and what it does to control flow. */
function classify(instruction: UnitInstruction, { key }: DiscoverOptions): Kind {
	const { decoded } = instruction;
	const { instance, status } = decoded;
	if (status !== "ok" || !instance) return "interpret";
	const { meaning } = instance;
	const { family, checks } = instance.form;
	if (meaning.helper || checks.some((check) => !passes(check, key))) return "handler";
	// Their stores may fail behind the arithmetic, when its flags are not yet part of MXCSR.
	if (meaning.floats.length > 0 && meaning.stores.length > 0) return "handler";
	if (meaning.stores.length > 1 || meaning.faults.some((fault) => !fault.when)) return "handler";
	if (meaning.stores.some((store) => store.kind === "operand" && store.when)) return "handler";
	if (instance.operands.some(({ kind }) => kind === "sreg" || kind === "fixedSegment")) return "handler";
	if (!meaning.jump) return family.ends ? "handler" : "plain";
	const direct = instance.operands[0]?.kind === "relative";
	if (!direct) return "indirect";
	if (!isCanonical(directTarget(instruction))) return "interpret";
	return meaning.stores.length > 0 ? "call" : "jump";
}

/** Target of a direct jump or call. */
function directTarget({ decoded, next }: UnitInstruction): number {
	const target = next + decoded.immediate;
	if (decoded.operandSize === 64) return target;
	return decoded.operandSize === 16 ? target & 0xffff : target >>> 0;
}

/** Blocks that follow, and whether they are reached through the head. */
function* successors(instruction: UnitInstruction, kind: Kind): Generator<[number, boolean]> {
	const { decoded, next } = instruction;
	switch (kind) {
		case "jump":
			yield [directTarget(instruction), false];
			if (decoded.instance?.meaning.jump?.when) yield [next, false];
			return;
		case "call":
			yield [directTarget(instruction), true];
			yield [next, true];
			return;
		case "indirect":
			if ((decoded.instance?.meaning.stores.length ?? 0) > 0) yield [next, true];
			return;
		case "handler":
			if (!NEVER_RETURNS.has(decoded.instance?.meaning.helper?.name ?? "")) yield [next, !continues(instruction)];
			return;
	}
}

function decodeAt(
	ip: number,
	known: Map<number, UnitInstruction | undefined>,
	{ source, decoder, key }: DiscoverOptions,
): UnitInstruction | undefined {
	if (known.has(ip)) return known.get(ip);
	const place = source.at(ip);
	let found: UnitInstruction | undefined;
	if (place) {
		const codeSize = codeSizeOf(key);
		const out = decoder.decode(place.bytes, place.offset, place.offset + Math.min(place.room, 16), codeSize);
		// An instruction over two pages is the interpreter's.
		if (out.status !== "truncated" && !(out.status === "tooLong" && place.room < 15)) {
			const copy = Object.assign(new Decoded(), out);
			const next = ip + out.length;
			// Only jumps cut IP to 16 bits; 16-bit code runs on behind FFFF where its segment does.
			found = { decoded: copy, ip, next: codeSize === 64 ? next : next >>> 0 };
		}
	}
	known.set(ip, found);
	return found;
}
