import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Arrival, framed, numberOf, PACKET_SIZE, PacketReader } from "../../../src/debug/gdb/packets.ts";

const read = (bytes: Uint8Array, reader = new PacketReader()): Arrival[] => [...reader.feed(bytes)];
const line = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** What a client makes of a reply: escapes and runs undone. */
function expanded(packet: Uint8Array): Uint8Array {
	const out: number[] = [];
	for (let n = 1; packet[n] !== 0x23; n++) {
		const byte = packet[n]!;
		if (byte === 0x7d) out.push(packet[++n]! ^ 0x20);
		else if (byte === 0x2a) for (let more = packet[++n]! - 29; more > 0; more--) out.push(out.at(-1)!);
		else out.push(byte);
	}
	return Uint8Array.from(out);
}

describe("packets", () => {
	test("arrive whole from pieces, with what stands between them", () => {
		const reader = new PacketReader();
		const text = "+$m0,4#fd\u0003-$X1,1:}]#fa";
		const arrivals = [...text].flatMap((char) => read(line(char), reader));
		expect(arrivals).toEqual([
			{ kind: "ack" },
			{ kind: "packet", body: Uint8Array.from(line("m0,4")) },
			{ kind: "interrupt" },
			{ kind: "nack" },
			{ kind: "packet", body: Uint8Array.from(line("X1,1:}")) },
		]);
	});

	test("with a wrong checksum, none or too much in them are damaged; the next one is read", () => {
		expect(read(line("$g#00$g#zz$g#67")).map(({ kind }) => kind)).toEqual(["damaged", "damaged", "packet"]);
		expect(read(line("$garbage$g#67")).map(({ kind }) => kind)).toEqual(["packet"]);
		const long = "0".repeat(PACKET_SIZE * 2 + 1);
		const sum = ((0x30 * long.length) & 0xff).toString(16).padStart(2, "0");
		expect(read(line(`$${long}#${sum}`)).map(({ kind }) => kind)).toEqual(["damaged"]);
	});

	test("go out so that what comes back is what was meant, framing untouched", () => {
		fc.assert(
			fc.property(fc.array(fc.oneof(fc.constant(0x30), fc.nat(255)), { maxLength: 600 }), (bytes) => {
				const body = Uint8Array.from(bytes);
				const packet = framed(body);
				expect(expanded(packet)).toEqual(body);
				expect(Buffer.from(packet).lastIndexOf("$")).toBe(0);
				const sum = packet.slice(1, -3).reduce((all, byte) => all + byte, 0) & 0xff;
				expect(Buffer.from(packet.slice(-3)).toString()).toBe(`#${sum.toString(16).padStart(2, "0")}`);
			}),
		);
		expect(Buffer.from(framed(line("0".repeat(900)))).toString()).toHaveLength(4 + 3 * 10);
	});

	test("numbers are hexadecimal of at most 64 bits", () => {
		expect(numberOf("ffffffff81000000")).toBe(0xffffffff81000000n);
		for (const wrong of ["", "0x1", "-1", "g", "10000000000000000", undefined]) expect(numberOf(wrong)).toBeUndefined();
	});
});
