/** Most bytes of a packet's contents, either way: what qSupported announces. */
export const PACKET_SIZE = 0x4000;

const DOLLAR = 0x24;
const HASH = 0x23;
const ESCAPE = 0x7d;
const ESCAPE_BIT = 0x20;
const STAR = 0x2a;
const PLUS = 0x2b;
const MINUS = 0x2d;
const CTRL_C = 0x03;
/** Repeat counts are characters from here on: `count + 29`; a run has 3 to 97 more bytes, but none that is framing. */
const RUN_BASE = 29;
const LONGEST_RUN = 97;
const SHORTEST_RUN = 3;

/** What arrives on the line of a GDB client (GDB manual, appendix E.1). */
export type Arrival =
	/** A packet with a right checksum, escapes undone. */
	| { readonly kind: "packet"; readonly body: Uint8Array }
	/** One with a wrong checksum, or too long. */
	| { readonly kind: "damaged" }
	| { readonly kind: "ack" }
	| { readonly kind: "nack" }
	/** Ctrl-C. */
	| { readonly kind: "interrupt" };

const isHex = (byte: number): boolean =>
	(byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);

/** Takes bytes as they come and makes packets of them. Whatever comes, it keeps at most one packet's bytes. */
export class PacketReader {
	private state: "idle" | "body" | "checksum" = "idle";
	private body: number[] = [];
	private sum = 0;
	private tooLong = false;
	private checksum = "";

	/** What `bytes` complete, in order. */
	*feed(bytes: Uint8Array): Generator<Arrival> {
		for (const byte of bytes) {
			const arrival = this.take(byte);
			if (arrival !== undefined) yield arrival;
		}
	}

	private take(byte: number): Arrival | undefined {
		if (this.state === "idle") {
			if (byte === DOLLAR) this.start();
			else if (byte === PLUS) return { kind: "ack" };
			else if (byte === MINUS) return { kind: "nack" };
			else if (byte === CTRL_C) return { kind: "interrupt" };
			return undefined;
		}
		if (this.state === "body") {
			if (byte === HASH) this.state = "checksum";
			else if (byte === DOLLAR) this.start();
			else this.add(byte);
			return undefined;
		}
		this.checksum += String.fromCharCode(byte);
		if (this.checksum.length < 2) return undefined;
		this.state = "idle";
		const given = [...this.checksum].every((char) => isHex(char.charCodeAt(0)))
			? Number.parseInt(this.checksum, 16)
			: -1;
		if (given !== (this.sum & 0xff) || this.tooLong) return { kind: "damaged" };
		return { kind: "packet", body: withoutEscapes(this.body) };
	}

	private start(): void {
		this.state = "body";
		this.body = [];
		this.sum = 0;
		this.tooLong = false;
		this.checksum = "";
	}

	private add(byte: number): void {
		this.sum += byte;
		// Escapes take two bytes each.
		if (this.body.length < 2 * PACKET_SIZE) this.body.push(byte);
		else this.tooLong = true;
	}
}

function withoutEscapes(bytes: readonly number[]): Uint8Array {
	const out: number[] = [];
	for (let n = 0; n < bytes.length; n++) {
		const byte = bytes[n]!;
		out.push(byte === ESCAPE && n + 1 < bytes.length ? bytes[++n]! ^ ESCAPE_BIT : byte);
	}
	return Uint8Array.from(out);
}

/** A packet as it goes out: framed, escaped, runs shortened. */
export function framed(body: Uint8Array): Uint8Array {
	const out: number[] = [DOLLAR];
	for (let n = 0; n < body.length; ) {
		const byte = body[n]!;
		let run = 1;
		while (run <= LONGEST_RUN && body[n + run] === byte) run++;
		if (byte === HASH || byte === DOLLAR || byte === ESCAPE || byte === STAR) out.push(ESCAPE, byte ^ ESCAPE_BIT);
		else {
			out.push(byte);
			const more = runOf(run - 1);
			if (more > 0) {
				out.push(STAR, more + RUN_BASE);
				n += more;
			}
		}
		n++;
	}
	let sum = 0;
	for (const byte of out.slice(1)) sum += byte;
	return Uint8Array.from([...out, HASH, ...Buffer.from((sum & 0xff).toString(16).padStart(2, "0"))]);
}

/** How many of `more` equal bytes go into one count: none where there are too few, never a count whose character is framing. */
function runOf(more: number): number {
	if (more < SHORTEST_RUN) return 0;
	const run = Math.min(more, LONGEST_RUN);
	return [HASH, DOLLAR, PLUS, MINUS].includes(run + RUN_BASE) ? runOf(run - 1) : run;
}

export function hexOf(bytes: Uint8Array): string {
	return Buffer.from(bytes).toString("hex");
}

/** Bytes of pairs of hexadecimal digits; undefined for anything else. */
export function bytesOf(hex: string): Uint8Array | undefined {
	return hex.length % 2 === 0 && /^[0-9a-f]*$/i.test(hex) ? Uint8Array.from(Buffer.from(hex, "hex")) : undefined;
}

/** A number in hexadecimal of at most 64 bits; undefined for anything else. */
export function numberOf(hex: string | undefined): bigint | undefined {
	return hex !== undefined && /^[0-9a-f]{1,16}$/i.test(hex) ? BigInt(`0x${hex}`) : undefined;
}

/** The number that bytes are, lowest first. */
export function fromBytes(bytes: Uint8Array): bigint {
	let value = 0n;
	for (let n = bytes.length - 1; n >= 0; n--) value = (value << 8n) | BigInt(bytes[n]!);
	return value;
}

/** The reverse, in `length` bytes. */
export function toBytes(value: bigint, length: number): Uint8Array {
	return Uint8Array.from({ length }, (_, n) => Number((value >> BigInt(8 * n)) & 0xffn));
}
