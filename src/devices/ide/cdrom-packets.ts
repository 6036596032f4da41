/** Bytes of a sector on a CD or DVD. */
export const CD_SECTOR = 2048;
/** More sectors than this (99 minutes) fit no CD: the disc is a DVD. */
const MOST_CD_SECTORS = 99 * 60 * 75;
const LEAD_OUT = 0xaa;
/** Sectors before the first one, in minutes, seconds and frames. */
const MSF_OFFSET = 150;

const PROFILE_CD = 0x0008;
const PROFILE_DVD = 0x0010;

/** Why a command was refused: sense key and additional sense code (MMC-5, annex F). */
export interface Sense {
	readonly key: number;
	readonly code: number;
}

export const NO_SENSE: Sense = { key: 0, code: 0 };
export const MEDIUM_ERROR: Sense = { key: 3, code: 0x11 };
const UNKNOWN_COMMAND: Sense = { key: 5, code: 0x20 };
const BEYOND_END: Sense = { key: 5, code: 0x21 };
const BAD_FIELD: Sense = { key: 5, code: 0x24 };

/** What a packet comes to. */
export type PacketAnswer =
	| { readonly kind: "done" }
	| { readonly kind: "data"; readonly bytes: Uint8Array }
	| { readonly kind: "sectors"; readonly first: number; readonly count: number }
	| { readonly kind: "error"; readonly sense: Sense };

const DONE: PacketAnswer = { kind: "done" };
const refuse = (sense: Sense): PacketAnswer => ({ kind: "error", sense });

const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const u32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 0xff, ...u16(value)];
const text = (value: string, length: number): number[] => Array.from(Buffer.from(value.padEnd(length), "latin1"));

/** Data cut to what the packet allows; none at all where it allows none. */
function data(bytes: readonly number[], allowed: number): PacketAnswer {
	return allowed === 0 ? DONE : { kind: "data", bytes: Uint8Array.from(bytes.slice(0, allowed)) };
}

/** A packet of twelve bytes, its fields with the most significant byte first. */
class Packet {
	readonly bytes: Uint8Array;

	constructor(bytes: Uint8Array) {
		this.bytes = bytes;
	}

	u8(at: number): number {
		return this.bytes[at] ?? 0;
	}

	u16(at: number): number {
		return (this.u8(at) << 8) | this.u8(at + 1);
	}

	u24(at: number): number {
		return (this.u8(at) << 16) | this.u16(at + 1);
	}

	u32(at: number): number {
		return this.u8(at) * 0x100_0000 + this.u24(at + 1);
	}
}

/** The commands that a CD-ROM drive takes in packets (SPC-3, MMC-5): a data disc of one track, which is always there. */
export class CdromPackets {
	private readonly sectors: number;

	/** @param sectors of {@link CD_SECTOR} bytes */
	constructor(sectors: number) {
		this.sectors = sectors;
	}

	/** @param sense of the command before */
	execute(bytes: Uint8Array, sense: Sense): PacketAnswer {
		const packet = new Packet(bytes);
		switch (packet.u8(0)) {
			case 0x00: // TEST UNIT READY
			case 0x1b: // START STOP UNIT
			case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
			case 0xbb: // SET CD SPEED
				return DONE;
			case 0x03:
				return data([0x70, 0, sense.key, 0, 0, 0, 0, 10, 0, 0, 0, 0, sense.code, 0, 0, 0, 0, 0], packet.u8(4));
			case 0x12:
				return this.inquiry(packet);
			case 0x25:
				return data([...u32(this.sectors - 1), ...u32(CD_SECTOR)], 8);
			case 0x28:
				return this.read(packet.u32(2), packet.u16(7));
			case 0x2b:
				return packet.u32(2) < this.sectors ? DONE : refuse(BEYOND_END);
			case 0x42:
				// Nothing plays, and there is no sub-channel data.
				return data([0, 0x15, 0, 0], packet.u16(7));
			case 0x43:
				return this.contents(packet);
			case 0x46:
				return this.configuration(packet);
			case 0x4a:
				return events(packet);
			case 0x51:
				// A finished disc with one session and one track.
				return data([...u16(32), 0x0e, 1, 1, 1, 1, 0x20, ...new Array<number>(26).fill(0)], packet.u16(7));
			case 0x5a:
				return modePages(packet);
			case 0xa8:
				return this.read(packet.u32(2), packet.u32(6));
			case 0xbd:
				return data([0, 0, 0, 0, 0, 0, 0, 0], packet.u16(8));
			case 0xbe:
				return this.readCd(packet);
			default:
				return refuse(UNKNOWN_COMMAND);
		}
	}

	private read(first: number, count: number): PacketAnswer {
		if (count === 0) return DONE;
		return first + count > this.sectors ? refuse(BEYOND_END) : { kind: "sectors", first, count };
	}

	/** READ CD: user data, which is all that an image has. */
	private readCd(packet: Packet): PacketAnswer {
		const wanted = packet.u8(9) & 0xf8;
		if (wanted === 0) return DONE;
		return wanted === 0x10 ? this.read(packet.u32(2), packet.u24(6)) : refuse(BAD_FIELD);
	}

	private inquiry(packet: Packet): PacketAnswer {
		if (packet.u8(1) & 1) return refuse(BAD_FIELD);
		const names = [...text("TSVMM", 8), ...text("CD-ROM", 16), ...text("1.0", 4)];
		return data([0x05, 0x80, 0x00, 0x21, names.length + 3, 0, 0, 0, ...names], packet.u16(3));
	}

	/** READ TOC. */
	private contents(packet: Packet): PacketAnswer {
		const msf = (packet.u8(1) & 2) !== 0;
		const format = packet.u8(2) & 15 || packet.u8(9) >> 6;
		const track = packet.u8(6);
		const entry = (number: number, at: number): number[] => [0, 0x14, number, 0, ...(msf ? msfOf(at) : u32(at))];
		if (format === 1) return data([...u16(10), 1, 1, ...entry(1, 0)], packet.u16(7));
		if (format !== 0 || (track > 1 && track !== LEAD_OUT)) return refuse(BAD_FIELD);
		const entries = [...(track === LEAD_OUT ? [] : entry(1, 0)), ...entry(LEAD_OUT, this.sectors)];
		return data([...u16(entries.length + 2), 1, 1, ...entries], packet.u16(7));
	}

	/** GET CONFIGURATION: the profile list, what every drive has, a medium that can be removed. */
	private configuration(packet: Packet): PacketAnswer {
		const profile = this.sectors > MOST_CD_SECTORS ? PROFILE_DVD : PROFILE_CD;
		const current = (each: number): number => (each === profile ? 1 : 0);
		const all: readonly (readonly [code: number, bytes: readonly number[]])[] = [
			[0, [0x03, 8, ...u16(PROFILE_DVD), current(PROFILE_DVD), 0, ...u16(PROFILE_CD), current(PROFILE_CD), 0]],
			[1, [0x0b, 8, ...u32(2), 1, 0, 0, 0]],
			[3, [0x03, 4, 0x29, 0, 0, 0]],
		];
		const start = packet.u16(2);
		const one = (packet.u8(1) & 3) === 2;
		const shown = all.filter(([code]) => (one ? code === start : code >= start));
		const features = shown.flatMap(([code, bytes]) => [...u16(code), ...bytes]);
		return data([...u32(features.length + 4), 0, 0, ...u16(profile), ...features], packet.u16(7));
	}
}

function msfOf(sector: number): number[] {
	const frames = sector + MSF_OFFSET;
	return [0, Math.floor(frames / (60 * 75)) & 0xff, Math.floor(frames / 75) % 60, frames % 75];
}

/** GET EVENT STATUS NOTIFICATION, polled: a medium is there, and nothing has happened. */
function events(packet: Packet): PacketAnswer {
	const MEDIA = 4;
	if ((packet.u8(1) & 1) === 0) return refuse(BAD_FIELD);
	const wanted = (packet.u8(4) & (1 << MEDIA)) !== 0;
	const answer = wanted ? [...u16(6), MEDIA, 1 << MEDIA, 0, 2, 0, 0] : [...u16(2), 0x80, 1 << MEDIA];
	return data(answer, packet.u16(7));
}

/** MODE SENSE: error recovery and capabilities. */
function modePages(packet: Packet): PacketAnswer {
	const pages: Readonly<Record<number, readonly number[]>> = {
		1: [0x01, 6, 0, 5, 0, 0, 0, 0],
		// No writing; locks, ejects, loads by tray; 706 kB/s, 512 KiB of buffer.
		42: [0x2a, 18, 0x3b, 0, 0x70, 0x60, 0x29, 0, ...u16(706), ...u16(2), ...u16(512), ...u16(706), 0, 0, 0, 0],
	};
	const wanted = packet.u8(2) & 0x3f;
	const bytes = wanted === 0x3f ? Object.values(pages).flat() : pages[wanted];
	// Saved values are not kept.
	if (bytes === undefined || packet.u8(2) >> 6 === 3) return refuse(BAD_FIELD);
	return data([...u16(bytes.length + 6), 0x01, 0, 0, 0, 0, 0, ...bytes], packet.u16(7));
}
