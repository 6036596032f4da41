import type { Feature } from "../../isa/features.ts";
import type { CodePlace } from "./code-place.ts";

/**
 * How a unit looks its data up, from the fastest to the most tolerant: where all memory is at one distance from its linear address; anywhere; and
 * filling the TLB instead of leaving.
 */
export type Lookup = "near" | "anywhere" | "filling";

/** A page of code: its linear address, and its offset in VM memory. */
export interface OrderedPage {
	readonly linear: number;
	readonly host: number;
}

/** All that is needed to make a unit, wherever that is done: plain data. */
export interface UnitOrder extends CodePlace {
	readonly roots: readonly number[];
	readonly pages: readonly OrderedPage[];
	/** The bytes that they had when the order was written, page behind page. */
	readonly code: Uint8Array<ArrayBuffer>;
	/** IPs beside the roots whose code has run: targets that go into the unit. */
	readonly executed: readonly number[];
	/** IPs of instructions that the unit leaves to the interpreter, for a reason outside the code. */
	readonly interpreted: readonly number[];
	readonly lookup: Lookup;
	/** What TLB entries have as their addend, where all of them are expected to have the same. */
	readonly addend: number | undefined;
	readonly tlbArea: number;
	/** The host takes port accesses at once. */
	readonly portHost: boolean;
}

/** A function that a unit imports: of the core by its name, or an instruction's handler by its place in the core's table. */
export interface UnitLink {
	readonly name: string;
	readonly handler?: number;
}

/** A unit as it was made: to be linked and entered. */
export interface UnitProduct {
	readonly module: WebAssembly.Module;
	readonly links: readonly UnitLink[];
	/** IPs that can be entered, with their numbers. */
	readonly entries: readonly (readonly [ip: number, number: number])[];
	/** Address of a word that must equal F.generation on entry; 0 where the code lies in one page. */
	readonly generationWord: number;
	/** The same pages, as the core reads them. */
	readonly pageTable: number;
	/** Address of a word that counts TLB misses down. */
	readonly missWord: number;
	/** Host milliseconds that it took. */
	readonly ms: number;
}

/** What becomes of an order: a unit, or "full": room for tables is used up. */
export type UnitResult = UnitProduct | "full";

/** VM memory, and the piece of it that tables of units go into. */
export interface TableRoom {
	readonly memory: WebAssembly.Memory;
	readonly arena: number;
	readonly bytes: number;
}

/** Where units are made. Orders are done one after the other. */
export interface Workshop {
	/** Orders that are not done yet. */
	readonly busy: number;
	/** How many are worth having at once. */
	readonly most: number;
	/** Makes a unit; `done` is called at once, or from a later {@link poll}. */
	make(order: UnitOrder, done: (result: UnitResult) => void): void;
	/** Hands over what has been made. */
	poll(): void;
	/** Everything made is gone, orders as well: tables begin anew, and code is decoded with these features (absent: all). */
	restart(features: readonly Feature[] | undefined): void;
	close(): void;
}
