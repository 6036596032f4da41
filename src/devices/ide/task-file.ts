/** Command block registers by offset; 1 and 7 are others when written (ATA/ATAPI-6, 7). */
export const ERROR = 1;
export const FEATURES = 1;
export const COUNT = 2;
export const LBA_LOW = 3;
export const LBA_MID = 4;
export const LBA_HIGH = 5;
export const DEVICE = 6;
export const STATUS = 7;
export const COMMAND = 7;

/** Status. */
export const BSY = 0x80;
export const DRDY = 0x40;
export const DF = 0x20;
export const DSC = 0x10;
export const DRQ = 0x08;
export const ERR = 0x01;

/** Error. */
export const UNC = 0x40;
export const IDNF = 0x10;
export const ABRT = 0x04;

/** Device: addresses are LBA; the head, or LBA bits 27:24. */
export const DEVICE_LBA = 0x40;
const DEVICE_HEAD = 0x0f;

const LAST_LBA28 = 0x0fff_ffff;

export interface TaskFileState {
	/** Registers 0..7 as written last; 0 and 7 stay 0. */
	readonly now: readonly number[];
	/** What was written before that: the upper bytes of 48-bit commands. */
	readonly before: readonly number[];
}

/** A disk's cylinders, heads and sectors a track, as addresses that are not LBA count them. */
export interface Geometry {
	readonly cylinders: number;
	readonly heads: number;
	readonly sectors: number;
}

/** A drive's command block registers, two bytes deep for 48-bit commands (ATA/ATAPI-6, 6.20). */
export class TaskFile {
	private readonly now = new Uint8Array(8);
	private readonly before = new Uint8Array(8);

	/** @param high what was written before the last write */
	get(register: number, high = false): number {
		return (high ? this.before : this.now)[register] ?? 0;
	}

	/** The host writes a register. */
	write(register: number, value: number): void {
		this.before[register] = this.get(register);
		this.now[register] = value;
	}

	/** The drive shows a value. */
	show(register: number, value: number): void {
		this.now[register] = value;
	}

	/** How many sectors a command is for; 0 stands for as many as there can be. */
	count(extended: boolean): number {
		const low = this.get(COUNT);
		if (!extended) return low === 0 ? 256 : low;
		const both = low | (this.get(COUNT, true) << 8);
		return both === 0 ? 65536 : both;
	}

	/** The first sector of a command; undefined where the geometry has no such place. */
	address(extended: boolean, geometry: Geometry): number | undefined {
		const [low, mid, high] = [this.get(LBA_LOW), this.get(LBA_MID), this.get(LBA_HIGH)];
		const head = this.get(DEVICE) & DEVICE_HEAD;
		if (extended) {
			const upper = this.get(LBA_LOW, true) | (this.get(LBA_MID, true) << 8) | (this.get(LBA_HIGH, true) << 16);
			return upper * 0x100_0000 + (low | (mid << 8) | (high << 16));
		}
		if (this.get(DEVICE) & DEVICE_LBA) return (low | (mid << 8) | (high << 16) | (head << 24)) >>> 0;
		const cylinder = mid | (high << 8);
		if (low === 0 || low > geometry.sectors || head >= geometry.heads || cylinder >= geometry.cylinders)
			return undefined;
		return (cylinder * geometry.heads + head) * geometry.sectors + low - 1;
	}

	/** Shows a sector's address in the form in which the command had its own. */
	showAddress(sector: number, extended: boolean, geometry: Geometry): void {
		if (extended) {
			const upper = Math.floor(sector / 0x100_0000);
			this.showLba(sector % 0x100_0000);
			for (const [n, register] of [LBA_LOW, LBA_MID, LBA_HIGH].entries()) this.before[register] = upper >>> (8 * n);
		} else if (this.get(DEVICE) & DEVICE_LBA) {
			const shown = Math.min(sector, LAST_LBA28);
			this.showLba(shown % 0x100_0000);
			this.showHead(Math.floor(shown / 0x100_0000));
		} else {
			const track = Math.floor(sector / geometry.sectors);
			const cylinder = Math.floor(track / geometry.heads);
			this.show(LBA_LOW, (sector % geometry.sectors) + 1);
			this.show(LBA_MID, cylinder & 0xff);
			this.show(LBA_HIGH, (cylinder >> 8) & 0xff);
			this.showHead(track % geometry.heads);
		}
	}

	/** Error apart, what a drive of this kind shows after a reset (ATA/ATAPI-6, 9.12). */
	showSignature(packet: boolean): void {
		this.before.fill(0);
		this.show(COUNT, 1);
		this.show(LBA_LOW, 1);
		this.show(LBA_MID, packet ? 0x14 : 0);
		this.show(LBA_HIGH, packet ? 0xeb : 0);
		this.show(DEVICE, this.get(DEVICE) & 0x10);
	}

	reset(): void {
		this.now.fill(0);
		this.before.fill(0);
	}

	save(): TaskFileState {
		return { now: [...this.now], before: [...this.before] };
	}

	load({ now, before }: TaskFileState): void {
		this.now.set(now);
		this.before.set(before);
	}

	private showLba(low: number): void {
		this.show(LBA_LOW, low & 0xff);
		this.show(LBA_MID, (low >> 8) & 0xff);
		this.show(LBA_HIGH, low >> 16);
	}

	private showHead(head: number): void {
		this.show(DEVICE, (this.get(DEVICE) & ~DEVICE_HEAD) | (head & DEVICE_HEAD));
	}
}
