/** The golden format (kvm-golden/2): JSON records of calls and the answers that a real /dev/kvm gave. */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
	readonly [key: string]: Json;
}

/** A record or step that is not what the format says. */
export class FormatError extends Error {
	override readonly name = "FormatError";
}

/** What records may need. */
export const FEATURES: readonly string[] = [
	"rawHva",
	"badPointer",
	"region2",
	"dirtyRing",
	"manualProtect",
	"coalesced",
	"ioeventfd",
	"immediateExit",
	"debug",
	"interrupts",
	"kvmclock",
	"hostProtect",
	"replacePage",
	"prefault",
	"translate",
	"rawIoctl",
	"sse",
	"x87",
];

/** The keys of each kind of object. */
export const KEYS = {
	file: ["header", "records"],
	record: ["id", "kind", "title", "note", "quirk", "deliberate", "features", "vm", "vcpu", "code", "steps"],
	deliberate: ["why", "steps"],
	vm: ["buffers", "caps", "slots"],
	buffer: ["id", "size", "fills"],
	fill: ["offset", "hex", "length", "pattern"],
	pattern: ["mul", "add"],
	cap: ["cap", "args"],
	slot: ["slot", "flags", "gpa", "size", "buffer", "offset"],
	vcpu: ["mode", "regs", "sregs", "cpuid"],
	cpuid: ["function", "eax", "ebx", "ecx", "edx"],
	code: ["origin", "buffer", "offset", "hex", "asm"],
} as const;

/** Inputs and outputs of each step. */
export const STEPS: Readonly<
	Record<string, { readonly inputs: readonly string[]; readonly outputs: readonly string[] }>
> = {
	setUserMemoryRegion: { inputs: ["slot", "flags", "gpa", "size", "buffer", "offset", "hva"], outputs: ["result"] },
	setUserMemoryRegion2: {
		inputs: [
			...["slot", "flags", "gpa", "size", "buffer", "offset", "hva"],
			...["padHex", "guestMemfd", "guestMemfdOffset"],
		],
		outputs: ["result"],
	},
	enableCap: { inputs: ["cap", "args", "flags"], outputs: ["result"] },
	checkExtension: { inputs: ["cap"], outputs: ["result"] },
	getDirtyLog: { inputs: ["slot", "padding", "badPointer"], outputs: ["result", "pages"] },
	clearDirtyLog: { inputs: ["slot", "numPages", "firstPage", "bits", "badPointer"], outputs: ["result"] },
	run: { inputs: ["arg", "limitMs", "reply"], outputs: ["result", "exit", "rip"] },
	getRegs: { inputs: ["undefinedFlags"], outputs: ["expect"] },
	setRegs: { inputs: ["regs"], outputs: ["result"] },
	setSregs: { inputs: ["sregs"], outputs: ["result"] },
	getSregs: { inputs: ["fields"], outputs: ["expect"] },
	readBacking: { inputs: ["buffer", "offset", "length"], outputs: ["hex"] },
	diffBacking: { inputs: ["buffer"], outputs: ["ranges"] },
	hostWrite: { inputs: ["buffer", "offset", "hex"], outputs: [] },
	replacePage: { inputs: ["buffer", "offset"], outputs: [] },
	hostProtect: { inputs: ["buffer", "offset", "size", "access"], outputs: [] },
	translate: { inputs: ["linear"], outputs: ["result", "physical", "valid", "writeable", "usermode"] },
	immediateExit: { inputs: ["value"], outputs: [] },
	requestInterruptWindow: { inputs: ["value"], outputs: [] },
	readRunFlags: { inputs: [], outputs: ["readyForInterruptInjection", "ifFlag"] },
	registerCoalesced: { inputs: ["addr", "size", "pio"], outputs: ["result"] },
	unregisterCoalesced: { inputs: ["addr", "size", "pio"], outputs: ["result"] },
	readCoalescedRing: { inputs: ["drain"], outputs: ["first", "last", "entries"] },
	createEventfd: { inputs: ["id"], outputs: [] },
	ioeventfd: { inputs: ["eventfd", "addr", "len", "datamatch", "flags"], outputs: ["result"] },
	readEventfd: { inputs: ["id"], outputs: ["count"] },
	harvestDirtyRing: { inputs: [], outputs: ["entries"] },
	resetDirtyRings: { inputs: [], outputs: ["result"] },
	setMsr: { inputs: ["index", "value"], outputs: ["result"] },
	interrupt: { inputs: ["vector"], outputs: ["result"] },
	setGuestDebug: { inputs: ["control"], outputs: ["result"] },
	prefault: { inputs: ["gpa", "size", "flags"], outputs: ["result", "left"] },
	createVcpu: { inputs: ["id"], outputs: ["result"] },
	rawIoctl: { inputs: ["target", "name", "request"], outputs: ["result"] },
};

/** The fields of each exit. */
export const EXITS: Readonly<Record<string, readonly string[]>> = {
	mmio: ["physAddr", "len", "isWrite", "data"],
	io: ["direction", "size", "port", "count", "data"],
	hlt: [],
	shutdown: [],
	internalError: ["suberror"],
	debug: ["exception", "pc", "dr6"],
	dirtyRingFull: [],
	memoryFault: ["flags", "gpa", "size"],
	irqWindowOpen: [],
};

/** Access to the members of a JSON object, by the type they must have. */
export class Fields {
	readonly json: JsonObject;
	private readonly what: string;

	/** `keys`: all that there may be. */
	constructor(json: Json | undefined, what: string, keys?: readonly string[]) {
		if (!isObject(json)) throw new FormatError(`${what} is no object`);
		this.json = json;
		this.what = what;
		for (const key of Object.keys(json)) {
			if (keys !== undefined && !keys.includes(key)) throw new FormatError(`${what}: unknown field ${key}`);
		}
	}

	has(key: string): boolean {
		return key in this.json;
	}

	private fail(key: string, type: string): never {
		throw new FormatError(`${this.what}: ${key} is ${this.has(key) ? "not " : "missing: "}${type}`);
	}

	text(key: string): string {
		const value = this.json[key];
		return typeof value === "string" ? value : this.fail(key, "a string");
	}

	number(key: string, otherwise?: number): number {
		const value = this.json[key] ?? otherwise;
		return typeof value === "number" ? value : this.fail(key, "a number");
	}

	/** A number in hexadecimal, or a JSON number. */
	hex(key: string, otherwise?: bigint): bigint {
		if (!this.has(key) && otherwise !== undefined) return otherwise;
		return numberOf(this.json[key]) ?? this.fail(key, "a hexadecimal number");
	}

	bytes(key: string): Uint8Array {
		const value = this.json[key];
		if (typeof value !== "string" || !/^([0-9a-f]{2})*$/i.test(value)) return this.fail(key, "a byte string");
		return Uint8Array.from(value.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
	}

	list(key: string, otherwise?: readonly Json[]): readonly Json[] {
		const value = this.json[key] ?? otherwise;
		return isList(value) ? value : this.fail(key, "a list");
	}
}

function isList(value: Json | undefined): value is readonly Json[] {
	return Array.isArray(value);
}

export function isObject(value: Json | undefined): value is JsonObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A JSON number or a `0x…` string as a number. */
export function numberOf(value: Json | undefined): bigint | undefined {
	if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
	return typeof value === "string" && /^0x[0-9a-f]+$/i.test(value) ? BigInt(value) : undefined;
}

export function toHex(value: bigint | number): string {
	return `0x${value.toString(16)}`;
}

export function toBytes(bytes: Uint8Array): string {
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
