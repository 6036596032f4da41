import { Decoder } from "../isa/decoder.ts";
import type { Feature } from "../isa/features.ts";
import { instructionTable } from "../isa/index.ts";
import { SEGMENT, VECTOR } from "../isa/registers.ts";
import { BLOCK, BLOCK_HEADER, codeSizeOf, F, KEY, REC, REC_SIZE, SEG, segmentOffset } from "./layout.ts";
import { writeRecord } from "./predecode.ts";
import type { Processor } from "./processor.ts";
import { PAGE_SIZE } from "./vm-memory.ts";

/** Most instructions in one decoded block. */
const MAX_BLOCK = 48;
const NEVER = 0x7fffffff;

/** Decodes the blocks that a processor is to run. */
export class BlockDecoder {
	/** The object that it hands out does not last. */
	readonly decoder: Decoder;
	private readonly processor: Processor;
	private readonly scratch = new Uint8Array(32);

	/** `features`: those that instructions are decoded for; absent: all. */
	constructor(processor: Processor, features?: ReadonlySet<Feature>) {
		this.processor = processor;
		this.decoder = new Decoder(instructionTable(), features);
	}

	/** Decodes anew what was written of a block that was kept aside; where it has become another block, it goes. */
	mend(block: number): number {
		const { processor } = this;
		const { code, compiler } = processor;
		const { words } = code;
		const at = block >> 2;
		const key = words[at + BLOCK.formerKey.offset / 4]!;
		const host = words[at + BLOCK.host.offset / 4]! >>> 0;
		const end = host + words[at + BLOCK.bytes.offset / 4]!;
		const from = words[at + BLOCK.writtenFrom.offset / 4]!;
		const to = words[at + BLOCK.writtenTo.offset / 4]!;
		const last = words[at + BLOCK.count.offset / 4]! - 1;
		for (let n = 0; n <= last; n++) {
			const record = (block + BLOCK_HEADER + n * REC_SIZE) >> 2;
			const ip = words[record + REC.ip / 4]! & 0xffff;
			const length = (words[record + REC.handler / 4]! >>> 16) & 0xff;
			if (ip + length <= from || ip >= to) continue;
			const decoded = this.decoder.decode(processor.bytes(), host + ip, end, codeSizeOf(key));
			if (decoded.status !== "ok" || decoded.length !== length || (n < last && decoded.form?.family.ends)) {
				code.remove(block);
				return 0;
			}
			writeRecord(words, record, decoded, ip);
		}
		const heats = key & KEY.single ? undefined : compiler;
		code.revive(block, heats?.heat ?? NEVER);
		heats?.decoded(block);
		return 1;
	}

	/** Decodes the block at CS:RIP for `key`. @returns its address, 0 with a fault or exit pending. */
	translate(key: number): number {
		const { processor } = this;
		const { code } = processor;
		const cs = segmentOffset(SEGMENT.cs);
		const rip = processor.get64(F.rip);
		const linear = (processor.get64(SEG.start, cs) + rip) & processor.get64(F.linearMask);
		const long = (key & KEY.long) !== 0;
		const codeSize = codeSizeOf(key);
		/** Bytes up to the segment's limit. */
		const room = long ? Number.POSITIVE_INFINITY : Number(processor.get64(SEG.fetchHigh, cs) - rip) + 1;
		if (room <= 0) {
			processor.call("raise", VECTOR.GP, 0);
			return 0;
		}
		const host = processor.call("fetchHost", linear) >>> 0;
		if (host === 0) return 0;
		const limit = key & KEY.single ? 1 : MAX_BLOCK;
		code.reserve(limit);
		const { words } = code;
		const bytes = processor.bytes();
		const pageEnd = host - (host & 4095) + 4096;
		const last = Math.min(pageEnd, host + room);
		const block = code.reserve(limit);
		let count = 0;
		let at = host;
		let cross = 0;
		while (count < limit && at < last) {
			if (count > 0 && processor.cutsBlock(at & (PAGE_SIZE - 1))) break;
			let decoded = this.decoder.decode(bytes, at, last, codeSize);
			if (decoded.status === "truncated") {
				if (count > 0) break;
				const rest = last - at;
				this.scratch.set(bytes.subarray(at, last));
				let length = rest;
				if (last === pageEnd && room > rest) {
					const next = (linear + BigInt(rest)) & processor.get64(F.linearMask);
					const second = processor.call("fetchHost", next) >>> 0;
					if (second === 0) return 0;
					const more = Math.min(16, room - rest);
					this.scratch.set(processor.bytes().subarray(second, second + more), rest);
					length += more;
					cross = second;
				}
				decoded = this.decoder.decode(this.scratch, 0, length, codeSize);
				if (decoded.status === "truncated") {
					// Cut off by the segment's limit. No block says so: limits change, and the code stays.
					processor.call("raise", VECTOR.GP, 0);
					return 0;
				}
				writeRecord(words, (block + BLOCK_HEADER) >> 2, decoded, 0);
				at += decoded.length;
				count = 1;
				if (at <= pageEnd) cross = 0;
				break;
			}
			writeRecord(words, (block + BLOCK_HEADER + count * REC_SIZE) >> 2, decoded, at - host);
			at += decoded.length;
			count++;
			if (decoded.status !== "ok" || decoded.form?.family.ends) break;
		}
		const compiler = key & KEY.single ? undefined : processor.compiler;
		const entered = code.enter(count, at - host, host, key, cross, compiler?.heat ?? NEVER);
		compiler?.decoded(entered);
		return entered;
	}
}
